"""The page itself, made with Gradio."""

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s2a_jax.analysis.model import S2ANet
from s2a_jax.errors import UserError
from s2a_jax.extras import import_extra
from s2a_jax.inputs.names import counted
from s2a_jax.web.examples import EXAMPLES, Example
from s2a_jax.web.eyes import (
    EYES,
    FIELDS_MM,
    FROM_FILE,
    analyze_example,
    analyze_uploads,
    parse_choices,
)
from s2a_jax.web.results import message_html, results_html
from s2a_jax.web.uploads import (
    ACCEPTED,
    CLAIMED,
    MOST_FILES,
    MOST_MB,
    MOST_SIDE,
    check_uploads,
    claimed,
    remove,
    remove_left,
    uploads_in,
)

_TEMPLATES = Path(__file__).parent / "templates"
_TITLE = "S2A-Net: vessels and FAZ in OCTA"
_WAITING = 32  # requests in the queue; one is computed at a time
_SWEEP_S = 60.0  # how often uploads are looked for that nobody reads
_BROKEN_S = 600.0  # how old: uploads that broke off
_ABANDONED_S = 3600.0  # how old: uploads whose request never came
_FONTS = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Helvetica Neue",
    "Arial",
    "sans-serif",
)
_DROP = f"""
<label class="s2a-drop">
<input type="file" multiple accept="{",".join(ACCEPTED)}" aria-label="Images">
<strong>Drop en-face OCTA images here, or tap to choose</strong>
<span class="s2a-names"></span>
<small class="s2a-soft">PNG, JPEG, TIFF or DICOM; at most {MOST_FILES} files of {MOST_MB} MB and
{MOST_SIDE} pixels a side. They are deleted as soon as they are read.</small>
</label>
"""
_SEND = """async (files, ...others) => {
  try { return [await s2a.send(), ...others]; }
  catch (error) { return [{ error: error.message }, ...others]; }
}"""


@contextlib.contextmanager
def served(model: S2ANet, *, host: str, port: int | None) -> Iterator[str]:
    """Serves the page while the context is open.

    Args:
        model: a network of one slab.
        host: address to listen at.
        port: port to listen at; None: the first free one from 7860 on.

    Yields:
        The page's address.

    Raises:
        UserError: Gradio is not installed.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="s2a-serve-"))
        gradio = _import_gradio(folder, host)
        _name_page(gradio)
        stack.enter_context(_swept(Path(folder)))
        page = _page(gradio, model, Path(folder))
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,
            inbrowser=False,
            prevent_thread_lock=True,
            max_file_size=MOST_MB * 10**6,
            run_history=False,  # Gradio would keep inputs and results in the browser
            enable_monitoring=False,
            footer_links=[],
            app_kwargs={"exception_handlers": _quiet_ends()},
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            theme=gradio.themes.Base(font=_FONTS, font_mono=("monospace",)),
            css=(_TEMPLATES / "page.css").read_text(),
            head=f"<script>{_script()}</script>",
        )
        try:
            yield address
        finally:
            page.close(verbose=False)


def _quiet_ends() -> dict[type[Exception], Any]:
    """What answers a request whose connection has ended: nothing, instead of a traceback."""
    from starlette.requests import ClientDisconnect  # comes with Gradio
    from starlette.responses import Response

    async def gone(request: Any, error: Exception) -> Response:
        return Response(status_code=400)

    return {ClientDisconnect: gone}


@contextlib.contextmanager
def _swept(folder: Path) -> Iterator[None]:
    """Deletes uploads that nobody reads, from time to time, while the context is open."""
    closed = threading.Event()

    def work() -> None:
        while not closed.wait(_SWEEP_S):
            remove_left(folder, _BROKEN_S, _ABANDONED_S)

    thread = threading.Thread(target=work, name="sweep", daemon=True)
    thread.start()
    try:
        yield
    finally:
        closed.set()
        thread.join()


def _import_gradio(folder: str, host: str) -> Any:
    """Gradio without telemetry, and with its files in a folder of this process."""
    for name in ("NO_PROXY", "no_proxy"):  # Gradio calls its own server while it starts
        others = os.environ.get(name)
        os.environ[name] = ",".join(filter(None, (others, "localhost", "127.0.0.1", host)))
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = folder
    return import_extra("gradio", "web", "serve")


def _name_page(gradio: Any) -> None:
    """Gives the page its title, in place of tags that show Gradio where a link is previewed."""
    import jinja2  # comes with Gradio

    name, env = "frontend/index.html", gradio.routes.templates.env
    source, _, _ = env.loader.get_source(env, name)
    source = re.sub(r'<meta\s+(property="og:|name="twitter:)[^>]*>', "", source)
    source = source.replace("</head>", f"<title>{_TITLE}</title></head>", 1)
    env.loader = jinja2.ChoiceLoader([jinja2.DictLoader({name: source}), env.loader])


def _page(gradio: Any, model: S2ANet, folder: Path) -> Any:
    """The form, the results and what connects them."""

    def analyze(sent, field, eye, tta, progress=gradio.Progress()):  # noqa: B008
        try:
            if isinstance(sent, dict) and "error" in sent:
                raise UserError(str(sent["error"]))
            uploads = check_uploads(sent, folder)
            choices = parse_choices(field, eye, tta)
        except UserError as error:
            remove(uploads_in(sent, folder))
            return message_html(str(error))
        count = counted(len(uploads), "image")

        def advance(done: int) -> None:
            progress((done, len(uploads)), desc=f"{count}; the first of a size takes longer")

        with tempfile.TemporaryDirectory(dir=folder, prefix=CLAIMED) as own:
            uploads = claimed(uploads, Path(own))
            with contextlib.closing(analyze_uploads(model, uploads, choices, advance)) as found:
                return results_html(found)

    def show(example: Example):
        def run(tta, progress=gradio.Progress()):  # noqa: B008
            progress(0, desc="The first image of a size takes longer")
            return results_html([analyze_example(model, example, tta=bool(tta))])

        return run

    with gradio.Blocks(title=_TITLE, analytics_enabled=False) as page:
        gradio.HTML(f"<h1>{_TITLE}</h1><p>Not a medical device.</p>")
        gradio.HTML(_DROP)
        files = gradio.JSON(visible=False)
        with gradio.Row(elem_id="s2a-choices"):
            field = gradio.Dropdown(
                [FROM_FILE, *(f"{side:g} mm" for side in FIELDS_MM)],
                value=FROM_FILE,
                label="Field of view (choose, or type mm)",
                allow_custom_value=True,
                min_width=240,
            )
            eye = gradio.Radio(list(EYES), value=EYES[0], label="Eye", min_width=260)
            tta = gradio.Checkbox(
                label="Average over eight symmetries (8 times as long)", min_width=240
            )
        with gradio.Row():
            start = gradio.Button("Analyze", variant="primary")
            tries = [gradio.Button(one.name) for one in EXAMPLES]
        results = gradio.HTML(elem_id="results")
        start.click(
            analyze, [files, field, eye, tta], results, js=_SEND, api_name="analyze",
            concurrency_id="network",
        )  # fmt: skip
        for number, (button, example) in enumerate(zip(tries, EXAMPLES, strict=True), 1):
            button.click(
                show(example), [tta], results, api_name=f"example_{number}",
                concurrency_id="network",
            )  # fmt: skip
    return page.queue(max_size=_WAITING, default_concurrency_limit=1)


def _script() -> str:
    text = (_TEMPLATES / "page.js").read_text()
    for name, value in (("most_files", MOST_FILES), ("most_mb", MOST_MB)):
        text = text.replace(f"{{{{ {name} }}}}", str(value))
    return text
