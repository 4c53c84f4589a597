import pytest

from sdx_rag.document import Document, Unreadable
from sdx_rag.readers.html import read_html
from sdx_rag.readers.limits import Limits


def page(markup: str) -> Document:
    return read_html(markup.encode(), "page.html", Limits())


def blocks(markup: str) -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, block.text) for block in page(markup).blocks]


def test_headings_paragraphs_lists_and_tables() -> None:
    markup = """<title>Tab</title><h1>Rule <em>book</em></h1>Loose text <b>bold</b><br>goes on
    <div>one<p>two <a href="http://example.org/evil">three</a> &amp; four</p>five</div><h3>Part</h3>
    <ol start=3><li>third<li><p>fourth</p><p>more</p><ol type=a><li>deep</ol></ol><ul><li>point</ul>
    <table><tr><th>a<th colspan=2>b<tr><td>1<td>2<td>3</table><img src=x alt="A chart of speed"><pre>x  y
z</pre>"""
    assert blocks(markup) == [
        ("heading", 1, "Rule book"),
        ("text", 0, "Loose text bold goes on"),
        ("text", 0, "one"),
        ("text", 0, "two three & four"),
        ("text", 0, "five"),
        ("heading", 2, "Part"),
        ("item", 1, "3. third"),
        ("item", 1, "4. fourth"),
        ("item", 1, "more"),
        ("item", 2, "(a) deep"),
        ("item", 1, "point"),
        ("table", 0, "a | b | \n1 | 2 | 3"),
        ("text", 0, "A chart of speed"),
        ("text", 0, "x  y\nz"),
    ]
    assert page(markup).title == "Rule book"
    assert page("<title>Tab</title><p>x").title == "Tab"
    assert page("<p>x").title == "page.html"


HIDDEN = [
    "<p style='display:none'>X</p>",
    "<p style='DISPLAY : NONE !important'>X</p>",
    "<p style='visibility:hidden'>X</p>",
    "<p style='opacity:0'>X</p>",
    "<p style='font-size:0'>X</p>",
    "<p style='font-size:1px'>X</p>",
    "<p style='color:#fff'>X</p>",
    "<p style='color:white'>X</p>",
    "<p style='color:rgb(254, 254, 254)'>X</p>",
    "<p style='color:transparent'>X</p>",
    "<p style='color:rgba(0,0,0,0)'>X</p>",
    "<p style='color:navy;background:navy'>X</p>",
    "<div style='background-color:#003'><p style='color:#000033'>X</p></div>",
    "<font color=white>X</font>",
    "<table><tr><td bgcolor=red><font color=red>X</font></td><td>y</td></tr></table>",
    "<p style='text-indent:-9999px'>X</p>",
    "<p style='position:absolute;left:-5000px'>X</p>",
    "<p style='height:0;overflow:hidden'>X</p>",
    "<p style='clip:rect(0,0,0,0);position:absolute'>X</p>",
    "<p style='clip-path:inset(100%)'>X</p>",
    "<p style='transform:scale(0)'>X</p>",
    "<p hidden>X</p>",
    "<p aria-hidden=true>X</p>",
    "<style>.q{display:none}</style><p class=q>X</p>",
    "<style>@media all{p.q , b{visibility:hidden}}</style><p class=q>X</p>",
    "<style>/* p{} */ #a .q{font-size:0px}</style><div id=a><span class=q>X</span></div>",
]
UNSEEN = [
    "<!-- X -->",
    "<script>X</script>",
    "<style>X</style>",
    "<template>X</template>",
    "<noscript>X</noscript>",
    "<nav>X</nav><footer>X</footer><aside>X</aside>",
    "<div role=navigation>X</div>",
    "<svg><text>X</text></svg>",
    "<p title=X data-x=X><a href=X>y</a></p>",
    "<del>X</del>",
    "<textarea>X</textarea><select><option>X</select>",
    "<iframe srcdoc='X'>X</iframe>",
]


@pytest.mark.parametrize("markup", HIDDEN)
def test_hidden_text_does_not_get_in_and_is_noted(markup: str) -> None:
    read = page(f"<body><p>Keep clear.</p>{markup}<p>Stop.</p>")
    assert "X" not in "".join(block.text for block in read.blocks)
    assert [block.text for block in read.blocks if block.text != "y"][-1] == "Stop."
    assert read.notes == ("hidden text left out in 1 places",)


@pytest.mark.parametrize("markup", UNSEEN)
def test_what_is_not_the_pages_text_is_left_out(markup: str) -> None:
    read = page(f"<body><p>Keep clear.</p>{markup}<p>Stop.</p>")
    assert "X" not in "".join(block.text for block in read.blocks)
    assert not read.notes


@pytest.mark.parametrize(
    "markup",
    [
        "<div style='background:navy;color:white'>X</div>",
        "<div style='background:navy'><p style='color:white'>X</p></div>",
        "<table><tr><td bgcolor=navy><font color=white>X</font></td><td>y</td></tr></table>",
        "<style>@media print{.q{display:none}} .q:hover{display:none}</style><p class=q>X</p>",
        "<p style='font-size:12px;color:#333;position:absolute;left:10px;opacity:1'>X</p>",
        "<p style='background:url(x);color:black'>X</p>",
        "<details><summary>More</summary>X</details>",
    ],
)
def test_what_is_seen_is_kept(markup: str) -> None:
    assert "X" in "".join(block.text for block in page(markup).blocks)


def test_the_main_content_is_chosen_where_the_page_marks_it() -> None:
    around = "<div class=menu>Home Products About</div>"
    assert blocks(f"<body>{around}<main><h1>Rule</h1><p>{'Text. ' * 20}</p></main><div>More links</div>")[0] == ("heading", 1, "Rule")
    assert blocks(f"<body><p>{'The rule. ' * 30}</p><main>x</main>")[0][2].startswith("The rule.")
    with_hidden = page(f"<body><div hidden><main><p>{'Turn to port. ' * 20}</p></main></div><p>Keep clear.</p>")
    assert not any("port" in block.text for block in with_hidden.blocks)


def test_a_page_in_the_encoding_that_it_names() -> None:
    markup = '<meta http-equiv=content-type content="text/html; charset=euc-kr"><p>우현 변침</p>'
    assert read_html(markup.encode("euc-kr"), "x.html", Limits()).blocks[0].text == "우현 변침"
    assert read_html(markup.replace("euc-kr", "utf-8").encode("utf-8"), "x.html", Limits()).blocks[0].text == "우현 변침"
    wrong = markup.replace("euc-kr", "no-such-encoding").encode("utf-8")
    assert read_html(wrong, "x.html", Limits()).blocks[0].text == "우현 변침"


def test_a_page_as_deep_as_it_likes_is_read_or_refused_at_once() -> None:
    assert page("<div>" * 1000 + "x").blocks[0].text == "x"
    with pytest.raises(Unreadable, match="inside each other"):
        page("<div>" * 100_000 + "x")


def test_a_table_that_arranges_the_page_is_read_as_text() -> None:
    assert blocks("<table role=presentation><tr><td>left<td>right</table>") == [("text", 0, "left"), ("text", 0, "right")]
    assert blocks("<table><tr><td><h1>Head</h1><p>a</p><p>b</p></td><td>c</td></tr></table>")[0] == ("heading", 1, "Head")
