"""What benchmarks/hlo.py reads in a compiled program, against numbers computed by hand."""

import pytest

from benchmarks.hlo import collectives, products

PROGRAM = """\
HloModule jit_train_step, is_scheduled=true

%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[]{:T(128)} parameter(0)
  %y = f32[]{:T(128)} parameter(1)
  ROOT %sum = f32[]{:T(128)} add(%x, %y)
}

%fused (a: bf16[2,8,8,64], b: bf16[3,3,64,16]) -> bf16[2,8,8,16] {
  %a = bf16[2,8,8,64]{3,2,1,0:T(8,128)(2,1)} parameter(0)
  %b = bf16[3,3,64,16]{3,2,1,0:T(8,128)(2,1)S(1)} parameter(1)
  ROOT %convolution.1 = bf16[2,8,8,16]{3,2,1,0:T(8,128)(2,1)} convolution(%a, %b), CONVOLUTION
}

%body (s: (s32[], f32[100,300])) -> (s32[], f32[100,300]) {
  %s = (s32[]{:T(128)}, f32[100,300]{1,0:T(8,128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%s), index=0
  %g = f32[100,300]{1,0:T(8,128)} get-tuple-element(%s), index=1
  %reduced = f32[100,300]{1,0:T(8,128)} all-reduce(%g), channel_id=1, to_apply=%add
  %dot.1 = f32[100,100]{1,0} dot(%reduced, %g), lhs_contracting_dims={1}, rhs_contracting_dims={1}, metadata={op_name="jit(train_step)/transpose(jvp(S2ANet))/encoder/fc1/dot_general"}
  ROOT %t = (s32[]{:T(128)}, f32[100,300]{1,0:T(8,128)}) tuple(%i, /*index=1*/%reduced)
}

%condition (c: (s32[], f32[100,300])) -> pred[] {
  %c = (s32[]{:T(128)}, f32[100,300]{1,0:T(8,128)}) parameter(0)
  ROOT %end = pred[] constant(true)
}

ENTRY %main (p: bf16[2,8,8,64], q: bf16[3,3,64,16], r: (s32[], f32[100,300])) -> bf16[2,8,8,16] {
  %p = bf16[2,8,8,64]{3,2,1,0:T(8,128)(2,1)} parameter(0)
  %q = bf16[3,3,64,16]{3,2,1,0:T(8,128)(2,1)} parameter(1)
  %r = (s32[]{:T(128)}, f32[100,300]{1,0:T(8,128)}) parameter(2)
  %loop = (s32[]{:T(128)}, f32[100,300]{1,0:T(8,128)}) while(%r), condition=%condition, body=%body, backend_config={"known_trip_count":{"n":"4"},"flag":[]}
  %part = bf16[3,3,8,16]{3,2,1,0} slice(%q), slice={[0:3], [0:3], [0:8], [0:16]}
  %gather = (bf16[3,3,8,16]{3,2,1,0}, bf16[3,3,64,16]{3,2,1,0}) all-gather-start(%part), dimensions={2}
  %flat = f32[200]{0:T(256)} constant({...})
  %scatter = f32[25]{0} reduce-scatter(%flat), dimensions={0}, to_apply=%add
  %pair = (f32[32]{0:T(128)S(1)}, bf16[10]{0}) all-reduce(%one, %two), channel_id=2, to_apply=%add
  ROOT %fusion = bf16[2,8,8,16]{3,2,1,0:T(8,128)(2,1)} fusion(%p, %q), kind=kOutput, calls=%fused
}
"""  # noqa: E501
FORWARD = (
    "window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_01io->b01f, "
    'metadata={op_name="jit(train_step)/jvp(S2ANet)/heads/conv/conv_general_dilated"}'
)


def test_collectives():
    found = collectives(PROGRAM.replace("CONVOLUTION", FORWARD))
    assert [(one.kind, one.bytes, one.times) for one in found] == [
        ("all-reduce", 4 * 100 * 300, 4),  # in the loop
        ("all-gather", 2 * 3 * 3 * 64 * 16, 1),  # whole, not its part
        ("reduce-scatter", 4 * 200, 1),
        ("all-reduce", 4 * 32 + 2 * 10, 1),
    ]


def test_products_of_a_program():
    convolution, product = products(PROGRAM.replace("CONVOLUTION", FORWARD), 128)
    assert convolution.path == "jit(train_step)/jvp(S2ANet)/heads/conv/conv_general_dilated"
    assert (convolution.channels, convolution.times) == ((64, 16), 1)
    # Along each axis of 8 pixels three taps meet 7, 8 and 7; the two images have 128 pixels.
    assert convolution.useful == 2 * 2 * 22 * 22 * 64 * 16
    assert convolution.padded == 2 * 9 * 128 * 128 * 128
    assert (product.channels, product.times) == ((300, 100), 4)
    assert product.useful == 2 * 100 * 300 * 100
    assert product.padded == 2 * 128 * 384 * 128


@pytest.mark.parametrize(
    ("out", "left", "right", "attributes", "useful", "padded"),
    [
        pytest.param(  # along an axis 4, 6, five times 7, and 5 taps meet a pixel
            "bf16[1,8,8,8]", "bf16[1,16,16,3]", "bf16[7,7,3,8]",
            "window={size=7x7 stride=2x2 pad=3_2x3_2}, dim_labels=b01f_01io->b01f",
            2 * 50 * 50 * 3 * 8, 2 * 49 * 128**3,
            id="stride 2",
        ),
        pytest.param(
            "bf16[2,8,8,16]", "bf16[2,4,4,32]", "bf16[3,3,16,32]",
            "window={size=3x3 pad=1_2x1_2 lhs_dilate=2x2 rhs_reversal=1x1}, "
            "dim_labels=b01f_01oi->b01f",
            2 * 2 * 11 * 11 * 32 * 16, 2 * 9 * 128 * 128 * 128,
            id="input gradient of stride 2",
        ),
        pytest.param(
            "bf16[3,3,64,16]", "bf16[2,8,8,64]", "bf16[2,8,8,16]",
            "window={size=8x8 pad=1_1x1_1}, dim_labels=f01b_i01o->01bf",
            2 * 2 * 22 * 22 * 64 * 16, 2 * 9 * 128 * 128 * 128,
            id="weight gradient",
        ),
        pytest.param(
            "f32[2,4,36,40]", "bf16[2,36,4,12]", "bf16[2,40,4,12]",
            "window={size=2x4 stride=1x3 lhs_dilate=2x4}, dim_labels=0b1f_0o1i->01bf",
            2 * 2 * 4 * 36 * 12 * 40, 2 * 2 * 4 * 128 * 128 * 128,
            id="batch of products, as attention",
        ),
        pytest.param(
            "bf16[1,4,4,256]", "bf16[1,4,4,256]", "bf16[3,3,1,256]",
            "window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_01io->b01f, feature_group_count=256",
            2 * 10 * 10 * 256, 2 * 9 * 256 * 128**3,
            id="depthwise",
        ),
        pytest.param(
            "f32[2,4,36,40]", "f32[2,4,36,12]", "f32[2,4,40,12]",
            "lhs_batch_dims={0,1}, lhs_contracting_dims={3}, rhs_batch_dims={0,1}, "
            "rhs_contracting_dims={3}",
            2 * 8 * 36 * 12 * 40, 2 * 8 * 128**3,
            id="dot with batch dimensions",
        ),
    ],
)  # fmt: skip
def test_products(out, left, right, attributes, useful, padded):
    op = "dot" if attributes.startswith("lhs") else "convolution"
    text = f"""\
ENTRY %main (a: {left}, b: {right}) -> {out} {{
  %a = {left}{{1,0}} parameter(0)
  %b = {right}{{1,0}} parameter(1)
  ROOT %c = {out}{{1,0}} {op}(%a, %b), {attributes}
}}
"""
    (found,) = products(text, 128)
    assert (found.useful, found.padded) == (useful, padded)
    assert found.path == "c"  # without metadata the instruction's own name


def test_a_loop_that_does_not_state_its_trips_is_an_error():
    text = PROGRAM.replace('"known_trip_count":{"n":"4"},', "")
    with pytest.raises(ValueError, match="the loop loop does not state"):
        collectives(text)
