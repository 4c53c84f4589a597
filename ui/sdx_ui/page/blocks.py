"""The page's layout: fragments of HTML that bridge.js fills, and a chat. Nothing live goes through Gradio's queue."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files

# Before gradio is imported: no telemetry, no look-up of newer versions, nothing fetched from outside.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

import gradio as gr

PLACED = {"audit": "record", "alarms": "warnings"}
"""Ids of the fragments that a narrow screen puts elsewhere: warnings first, the record last."""
STATIC = files("sdx_ui.page") / "static"
GROUND, PANEL, EDGE = "#081018", "#101b24", "#22333f"  # as in bridge.css


@dataclass(frozen=True)
class Layout:
    """What a page is made of: fragments of static/ in the left and right column, with their script and styles."""

    title: str
    script: str
    styles: tuple[str, ...]
    left: tuple[str, ...]
    right: tuple[str, ...]
    examples: tuple[str, ...]

    @property
    def head(self) -> str:
        styles = "".join(f'<link rel="stylesheet" href="bridge/{name}.css">' for name in self.styles)
        return f'{styles}<script type="module" src="bridge/{self.script}.js"></script>'


BRIDGE = Layout(
    "SDx bridge", "bridge", ("bridge",), ("plan", "audit"), ("decision", "verdict", "control"),
    ("What is the most dangerous target?", "Why this manoeuvre?", "가장 위험한 타선은?"),
)  # fmt: skip
HOUSE = Layout(
    "SDx house", "house", ("bridge", "house"), ("house", "audit"), ("alarms", "decision", "plans", "verdict", "house_control"),
    ("Why are the vents shut?", "What if it rains tonight?", "오늘 밤 5도 더 추워지면?"),
)  # fmt: skip


def layout_of(domain: object) -> Layout:
    """The house's for a domain that steers devices, else the ship's bridge."""
    return HOUSE if hasattr(domain, "controller") else BRIDGE


def fragment(name: str) -> str:
    return (STATIC / f"{name}.html").read_text(encoding="utf-8")


def theme() -> gr.themes.Base:
    """Fonts of the system: the page must load without a network."""
    fonts = ["system-ui", "Noto Sans", "sans-serif"]
    plain = gr.themes.Base(primary_hue="sky", neutral_hue="slate", font=fonts, font_mono=["ui-monospace", "monospace"])
    return plain.set(
        body_background_fill_dark=GROUND,
        background_fill_primary_dark=PANEL,
        background_fill_secondary_dark=PANEL,
        block_background_fill_dark=PANEL,
        block_border_color_dark=EDGE,
        border_color_primary_dark=EDGE,
        input_background_fill_dark=GROUND,
        input_border_color_dark="#3a5060",
        body_text_color_dark="#d8e4ec",
        body_text_color_subdued_dark="#9db2c0",
    )


def piece(name: str, elem_id: str | None = None) -> gr.HTML:
    """A fragment as it is, without Gradio's styles for tables and buttons."""
    return gr.HTML(fragment(name), elem_id=elem_id, apply_default_css=False)


def blocks_of(layout: Layout, answer: Callable[[str], Iterator[str]]) -> gr.Blocks:
    """The page. `answer` yields the growing answer to a question."""

    def reply(message: str, history: list[object]) -> Iterator[str]:
        yield from answer(message)

    with gr.Blocks(title=layout.title, analytics_enabled=False, fill_width=True) as blocks:
        piece("top", "top")
        with gr.Row(equal_height=False, elem_id="columns"):
            with gr.Column(scale=6, min_width=320):
                for name in layout.left:
                    piece(name, PLACED.get(name))
            with gr.Column(scale=5, min_width=320):
                for name in layout.right:
                    piece(name, PLACED.get(name))
                with gr.Column(elem_id="chat"):
                    gr.ChatInterface(
                        reply,
                        chatbot=gr.Chatbot(height=260, show_label=False, elem_id="chatbot", buttons=["copy"], render_markdown=False),
                        textbox=gr.Textbox(
                            placeholder="Ask about the situation · 상황에 대해 묻기", max_length=500, show_label=False, elem_id="question"
                        ),
                        examples=[[text] for text in layout.examples],
                        analytics_enabled=False,
                        autofocus=False,
                        api_name="ask",
                    )
    return blocks
