"""The styles of the report: light and dark, narrow and wide, in the colours of Okabe and Ito."""

from __future__ import annotations

from evengrad._common.plot_style import OKABE_ITO
from evengrad.health._report._heat_map import SHADES

# From the least to the most: of Okabe and Ito's two blues, made lighter and darker at the ends.
LIGHT_RAMP = ("#e3f0f9", OKABE_ITO["sky blue"], OKABE_ITO["blue"], "#00283f")
DARK_RAMP = ("#1d3344", OKABE_ITO["blue"], OKABE_ITO["sky blue"], "#e6f4fd")
# Strokes of lines, those first that stand out on the ground.
LIGHT_LINES = ("blue", "vermillion", "bluish green", "reddish purple", "orange", "sky blue")
DARK_LINES = ("sky blue", "orange", "bluish green", "reddish purple", "vermillion", "yellow")


def ramp(colors: tuple[str, ...]) -> list[str]:
    """Return the shades between colours, evenly."""
    channels = [[int(color[at : at + 2], 16) for at in (1, 3, 5)] for color in colors]
    shades = []
    for number in range(SHADES):
        where = number / (SHADES - 1) * (len(colors) - 1)
        at = min(int(where), len(colors) - 2)
        pairs = zip(channels[at], channels[at + 1], strict=True)
        mixed = [round(a + (b - a) * (where - at)) for a, b in pairs]
        shades.append("#" + "".join(f"{channel:02x}" for channel in mixed))
    return shades


def ink(ground: str) -> str:
    """Return black or white, whichever is read better on a colour."""
    linear = [(int(ground[at : at + 2], 16) / 255) ** 2.2 for at in (1, 3, 5)]
    luminance = sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#000000" if luminance > 0.179 else "#ffffff"


def _variables(lines: tuple[str, ...], shades: list[str]) -> str:
    named = [f"--s{at}:{OKABE_ITO[name]}" for at, name in enumerate(lines, start=1)]
    named += [f"--h{at}:{shade};--i{at}:{ink(shade)}" for at, shade in enumerate(shades)]
    return ";".join(named)


LIGHT = f"""
--page:#f5f6f8;--card:#fff;--text:#1a1f26;--soft:#56606b;--edge:#d8dde3;--grid:#e8ebef;
--code:#f0f2f5;--accent:#0069a6;--bars:#0072b2;--zero:#d55e00;
{_variables(LIGHT_LINES, ramp(LIGHT_RAMP))}"""
DARK = f"""
--page:#0e1116;--card:#171b22;--text:#e7eaee;--soft:#a2abb6;--edge:#303741;--grid:#272d36;
--code:#0f1319;--accent:#6cc1f2;--bars:#56b4e9;--zero:#d55e00;
{_variables(DARK_LINES, ramp(DARK_RAMP))}"""

RULES = """
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--text);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
header,main,footer{max-width:1180px;margin:0 auto;padding:0 20px}
header{padding-top:28px}
h1{font-size:26px;line-height:1.25;margin:0;overflow-wrap:anywhere}
h2{font-size:19px;margin:40px 0 12px;padding-top:4px}
h3{font-size:15px;margin:0;overflow-wrap:anywhere}
h4{font-size:13px;margin:14px 0 4px;color:var(--soft);font-weight:600}
p{margin:4px 0}
.soft,.note,footer,.sub{color:var(--soft)}
.note{font-size:13px}
a{color:var(--accent)}
.skip{position:absolute;left:-999px}
.skip:focus{left:8px;top:8px;background:var(--card);padding:6px 10px;z-index:9}
nav ul{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;padding:0;margin:14px 0 0;
font-size:14px}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:4px}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(190px,1fr));gap:12px;
margin:22px 0 0;padding:0}
.tiles div{background:var(--card);border:1px solid var(--edge);border-radius:10px;
padding:10px 14px;min-width:0}
.tiles dt{font-size:13px;color:var(--soft);overflow-wrap:anywhere}
.tiles dd{margin:0;font-size:21px;font-weight:600;font-variant-numeric:tabular-nums;
line-height:1.3}
.tiles dd small{display:block;font-size:12px;font-weight:400;color:var(--soft)}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));gap:16px}
.card{background:var(--card);border:1px solid var(--edge);border-radius:12px;padding:14px 16px;
margin:0;min-width:0;position:relative}
.full{grid-column:1/-1}
.columns{columns:340px;column-gap:16px}
.columns>.card{break-inside:avoid;display:inline-block;width:100%;margin-bottom:16px}
figcaption{margin-bottom:6px}
figcaption .note{margin:0}
svg{display:block;width:100%;height:auto;overflow:visible}
.card>svg{max-width:480px}
text{font-size:11px;fill:var(--soft);paint-order:stroke;stroke:var(--card);stroke-width:3px;
stroke-linejoin:round;font-variant-numeric:tabular-nums}
.t-middle{text-anchor:middle}.t-end{text-anchor:end}
path.grid{stroke:var(--grid);fill:none}
.axis{stroke:var(--edge);fill:none}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.dashed{stroke-dasharray:5 4}
.dot{stroke:var(--card);stroke-width:1.5}
.dots{fill:none;stroke:var(--bars);stroke-width:3.2;stroke-linecap:round;stroke-opacity:.5}
.zero-line{stroke:var(--text);stroke-dasharray:2 3}
.bars{fill:var(--bars)}
.cells{shape-rendering:crispEdges}
.zero{fill:var(--zero)}
.ink{stroke:none;font-weight:600}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;list-style:none;margin:4px 0 0;padding:0;
font-size:13px}
.legend li{display:flex;align-items:center;gap:6px;overflow-wrap:anywhere}
.legend svg{width:22px;flex:none}
details{margin-top:8px;font-size:13px}
summary{cursor:pointer;color:var(--accent);width:fit-content}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}
caption{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
th,td{padding:4px 14px 4px 0;text-align:left;border-bottom:1px solid var(--grid);
vertical-align:top}
thead th{color:var(--soft);font-weight:600;white-space:nowrap}
tbody th{font-weight:500}
th.n,td.n{text-align:right;white-space:nowrap}
td:last-child,th:last-child{padding-right:0}
.settings table{width:100%;table-layout:fixed}
.settings th{color:var(--soft);font-weight:400}
.settings th,.settings td{overflow-wrap:anywhere}
.settings thead{display:none}
pre{background:var(--code);border:1px solid var(--edge);border-radius:8px;padding:9px 12px;
margin:6px 0 2px;overflow-x:auto;max-width:100%}
code,pre{font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
code{overflow-wrap:anywhere}
h3 code{font-size:14px}
.findings{display:grid;gap:14px}
.finding{border-left:5px solid var(--bars)}
.finding.is-error{border-left-color:#d55e00}
.finding.is-warning{border-left-color:#e69f00}
.finding h3{font-size:16px}
.finding ol,.finding ul{margin:2px 0 0;padding-left:22px}
.finding li{margin:3px 0}
.severity{font-size:12px;font-weight:600;border:1px solid var(--edge);border-radius:20px;
padding:1px 8px;vertical-align:1px}
.mark{display:inline-block;width:13px;height:13px;margin-right:7px;vertical-align:-1px;
fill:var(--bars)}
.is-error .mark{fill:#d55e00}.is-warning .mark{fill:#e69f00}
.well{border-left:5px solid #009e73}
.well .mark{fill:none;stroke:#009e73;stroke-width:2.4}
.smalls{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:10px 16px;
margin-top:10px}
.small{margin:0;min-width:0}
.small figcaption{font-size:13px;margin:0;overflow-wrap:anywhere}
.chosen{outline:2px solid var(--zero);outline-offset:4px;border-radius:4px}
#layer-panel:not(:empty){margin-bottom:16px}
.chosen{outline:2px solid var(--zero);outline-offset:4px;border-radius:4px}
#layer-panel:not(:empty){margin-bottom:16px}
.picker{display:flex;flex-wrap:wrap;gap:8px 12px;align-items:center;margin-bottom:14px}
select{font:inherit;color:inherit;background:var(--card);border:1px solid var(--edge);
border-radius:8px;padding:5px 8px;max-width:100%}
[hidden]{display:none!important}
.tip{position:fixed;z-index:8;pointer-events:none;background:var(--text);color:var(--card);
border-radius:8px;padding:6px 10px;font-size:13px;line-height:1.4;max-width:280px;
white-space:pre-line;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
.cursor{stroke:var(--soft);stroke-dasharray:3 3;pointer-events:none}
.cell-cursor{fill:none;stroke:var(--text);stroke-width:1.5;pointer-events:none}
.picked{fill:none;stroke:var(--zero);stroke-width:1.6;pointer-events:none}
.heard{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
footer{padding:36px 20px 40px;font-size:13px}
.beside{grid-column:1/-1}
@media (min-width:1110px){.beside{grid-column:span 2}}
@media (max-width:480px){header,main,footer{padding-left:12px;padding-right:12px}
.card{padding:12px}
h1{font-size:22px}.tiles{grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:8px}}
@media print{.card{break-inside:avoid}nav,.picker{display:none}}
"""


def style() -> str:
    """Return the style sheet."""
    strokes = "".join(
        f".line.s{at}{{stroke:var(--s{at})}}.dot.s{at}{{fill:var(--s{at})}}"
        for at in range(1, len(LIGHT_LINES) + 1)
    )
    shades = "".join(
        f".h{at}{{fill:var(--h{at})}}.i{at}{{fill:var(--i{at})}}" for at in range(SHADES)
    )
    dark = f"@media (prefers-color-scheme:dark){{:root{{{DARK}}}}}"
    return f":root{{{LIGHT}}}{dark}{RULES}{strokes}{shades}".replace("\n", "")
