"""Tables of eyes that cannot be used."""

import csv

import numpy as np
import pytest
from PIL import Image

WIDE = csv.field_size_limit() + 1

TABLES = {
    "empty": (b"", "columns none"),
    "spaces": (b"  \n \n", "columns none"),
    "header-only": (b"id,um_per_px\n", "no row below its header"),
    "id-only": (b"id\neye\n", "expected id and any of"),
    "no-id": (b"um_per_px\n10\n", "expected id and any of"),
    "other-columns": (b"id,age\neye,50\n", "expected id and any of"),
    "misspelt": (b"id,laterality,um_per_pix\neye,OD,10\n", "write um_per_px"),
    "twice": (b"id,um_per_px,um_per_px\neye,10,11\n", "two columns um_per_px"),
    "id-twice": (b"id,um_per_px\neye,10\neye,11\n", "two rows with the id 'eye'"),
    "id-empty": (b"id,um_per_px\n,10\n", "line 2 has no id"),
    "no-match": (b"id,um_per_px\nother,10\n", "No id of"),
    "text": (b"id,um_per_px\neye,ten\n", "'ten' as um_per_px of 'eye'"),
    "nan": (b"id,um_per_px\neye,nan\n", "'nan' as um_per_px"),
    "infinite": (b"id,um_per_px\neye,inf\n", "'inf' as um_per_px"),
    "overflow": (b"id,um_per_px\neye,1e999\n", "um_per_px"),
    "zero": (b"id,um_per_px\neye,0\n", "um_per_px in --eyes"),
    "negative": (b"id,um_per_px\neye,-10\n", "um_per_px in --eyes"),
    "large": (b"id,um_per_px\neye,5000\n", "um_per_px in --eyes"),
    "unit": (b"id,um_per_px\neye,10um\n", "'10um' as um_per_px"),
    "hexadecimal": (b"id,um_per_px\neye,0x10\n", "'0x10' as um_per_px"),
    "underscore": (b"id,um_per_px\neye,1_0\n", "'1_0' as um_per_px"),
    "arabic": ("id,um_per_px\neye,١٠\n".encode(), "as um_per_px"),
    "thousands": (b'id,um_per_px\neye,"1,234.5"\n', "thousands marks"),
    "ambiguous": (b'id,axial_length_mm\neye,"23,456"\n', "write decimal points"),
    "mixed": (b"id;um_per_px;axial_length_mm\neye;10,5;24.5\n", "all with decimal commas"),
    "more-cells": (b"id,um_per_px\neye,10,5\n", "more cells than there are columns"),
    "both-pitches": (b"id,um_per_px,field_mm\neye,10,3\n", "both um_per_px and field_mm"),
    "field-small": (b"id,field_mm\neye,0.01\n", "field_mm in --eyes"),
    "field-large": (b"id,field_mm\neye,300\n", "field_mm in --eyes"),
    "axial-short": (b"id,um_per_px,axial_length_mm\neye,10,2\n", "axial length"),
    "axial-long": (b"id,um_per_px,axial_length_mm\neye,10,2400\n", "axial length"),
    "laterality": (b"id,um_per_px,laterality\neye,10,both\n", "both"),
    "quotation": (b'id,um_per_px\n"eye,10\n', "cannot be read as a CSV file"),
    "wide-cell": (b"id,um_per_px\neye," + b"1" * WIDE + b"\n", "cannot be read as a CSV file"),
    "nul": (b"id,um_per_px\neye,1\x000\n", "not in UTF-8"),
    "binary": (bytes(range(256)) * 4, "not in UTF-8"),
    "utf-16-cut": ("id,um_per_px\neye,10\n".encode("utf-16")[:-1], "not in UTF-8"),
    "utf-32": ("id,um_per_px\neye,10\n".encode("utf-32"), "not in UTF-8"),
    "xlsx": (b"PK\x03\x04" + bytes(40), "workbook"),
    "xls": (b"\xd0\xcf\x11\xe0" + bytes(40), "workbook"),
    "page": (b"<!DOCTYPE html><html></html>", "columns <!DOCTYPE html>"),
    "json": (b'{"id": "eye", "um_per_px": 10}', "expected id and any of"),
    "separator": (b"id|um_per_px\neye|10\n", "expected id and any of"),
    "only-separators": (b",,,\n,,,\n", "columns none"),
}
"""Name -> content, and a part of the sentence."""


@pytest.fixture
def command(tmp_path):
    mask = np.zeros((32, 32), np.uint8)
    mask[:, 10:14] = 255
    Image.fromarray(mask).save(tmp_path / "eye.png")
    return ["measure", "--rv", "eye.png", "--out", "out.csv", "--eyes"]


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_eyes(tmp_path, refused, command, name):
    content, named = TABLES[name]
    (tmp_path / f"{name}.csv").write_bytes(content)
    refused([*command, f"{name}.csv"], named)


def test_a_table_that_is_none(tmp_path, refused, command):
    refused([*command, "missing.csv"], "--eyes=missing.csv")
    refused([*command, "."], "--eyes=.")
