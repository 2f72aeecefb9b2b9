"""Forms that people's prometheus.yml has, for its editor, scripts/lib/prometheus-yml.awk.

EDITED     given text, and the text with the job's block in it: taken out again, it is the given one to the byte
TAKEN_OUT  text with blocks of several stacks, or with somebody's lines behind the block, and the text without the block
SERVED     texts that the block has to go into, and be out of again: more forms than a reader wants to see twice
REFUSED    texts that are refused, with the beginning of the reason
ASKED      texts of which only promtool tells that the block would not come into their list

Those of the last three are valid for promtool; the first document's jobs are `own`, or `own` and `other`, or none.
"""

from collections.abc import Mapping

JOB = "metrics-tunnel-a.b"

# What no reader would see, as a line end of Windows or a byte order mark, is escaped.
_EDITED = {
    "a list: the block comes first in it, at the indent of its items": (
        """\
global: {}
scrape_configs:  # all

  # first
  - job_name: own
# end
""",
        """\
global: {}
scrape_configs:  # all
  # BEGIN metrics-tunnel-a.b
  - job_name: metrics-tunnel-a.b
    scrape_interval: 5s
  # END metrics-tunnel-a.b

  # first
  - job_name: own
# end
""",
    ),
    "a list at the margin": (
        """\
scrape_configs:
- job_name: own
alerting: {}
""",
        """\
scrape_configs:
# BEGIN metrics-tunnel-a.b
- job_name: metrics-tunnel-a.b
  scrape_interval: 5s
# END metrics-tunnel-a.b
- job_name: own
alerting: {}
""",
    ),
    "a list without items": (
        """\
scrape_configs:
global: {}
""",
        """\
scrape_configs:
# BEGIN metrics-tunnel-a.b
- job_name: metrics-tunnel-a.b
  scrape_interval: 5s
# END metrics-tunnel-a.b
global: {}
""",
    ),
    "no list: the block brings the key": (
        """\
global: {}
""",
        """\
global: {}
# BEGIN metrics-tunnel-a.b
scrape_configs:
- job_name: metrics-tunnel-a.b
  scrape_interval: 5s
# END metrics-tunnel-a.b
""",
    ),
    "nothing at all": (
        "",
        """\
# BEGIN metrics-tunnel-a.b
scrape_configs:
- job_name: metrics-tunnel-a.b
  scrape_interval: 5s
# END metrics-tunnel-a.b
""",
    ),
    "no newline at the end: the line gets one, and the mark says so": (
        "scrape_configs:",
        """\
scrape_configs:
# BEGIN metrics-tunnel-a.b joined
- job_name: metrics-tunnel-a.b
  scrape_interval: 5s
# END metrics-tunnel-a.b
""",
    ),
    "all of it indented, and no list in the first of two documents": (
        """\
  global: {}
---
scrape_configs:
""",
        """\
  global: {}
  # BEGIN metrics-tunnel-a.b
  scrape_configs:
  - job_name: metrics-tunnel-a.b
    scrape_interval: 5s
  # END metrics-tunnel-a.b
---
scrape_configs:
""",
    ),
    "a document with its marks": (
        """\
%YAML 1.1
---
global: {}
...
""",
        """\
%YAML 1.1
---
global: {}
# BEGIN metrics-tunnel-a.b
scrape_configs:
- job_name: metrics-tunnel-a.b
  scrape_interval: 5s
# END metrics-tunnel-a.b
...
""",
    ),
    "a byte order mark and Windows' line ends": (
        "\ufeffscrape_configs:\r\n  -\r\n    job_name: own\r\n",
        (
            "\ufeffscrape_configs:\r\n"
            "  # BEGIN metrics-tunnel-a.b\n"
            "  - job_name: metrics-tunnel-a.b\n"
            "    scrape_interval: 5s\n"
            "  # END metrics-tunnel-a.b\n"
            "  -\r\n    job_name: own\r\n"
        ),
    ),
    "a list that begins in the block of another stack": (
        """\
global: {}
# BEGIN metrics-tunnel-z
scrape_configs:
- job_name: metrics-tunnel-z
# END metrics-tunnel-z
""",
        """\
global: {}
# BEGIN metrics-tunnel-z
scrape_configs:
- job_name: metrics-tunnel-z
# END metrics-tunnel-z
# BEGIN metrics-tunnel-a.b
- job_name: metrics-tunnel-a.b
  scrape_interval: 5s
# END metrics-tunnel-a.b
""",
    ),
}
EDITED: Mapping[str, tuple[bytes, bytes]] = {
    name: (given.encode(), wanted.encode()) for name, (given, wanted) in _EDITED.items()
}

_TAKEN_OUT = {
    "the key goes on to the block of another stack": (
        """\
global: {}
# BEGIN metrics-tunnel-a.b
scrape_configs:
- job_name: metrics-tunnel-a.b
# END metrics-tunnel-a.b
# BEGIN metrics-tunnel-z
- job_name: metrics-tunnel-z
# END metrics-tunnel-z
""",
        """\
global: {}
# BEGIN metrics-tunnel-z
scrape_configs:
- job_name: metrics-tunnel-z
# END metrics-tunnel-z
""",
    ),
    "the key and the missing newline go on to it": (
        """\
global: {}
# BEGIN metrics-tunnel-a.b joined
scrape_configs:
- job_name: metrics-tunnel-a.b
# END metrics-tunnel-a.b
# BEGIN metrics-tunnel-z
- job_name: metrics-tunnel-z
# END metrics-tunnel-z
""",
        """\
global: {}
# BEGIN metrics-tunnel-z joined
scrape_configs:
- job_name: metrics-tunnel-z
# END metrics-tunnel-z
""",
    ),
    "the key stays for somebody's own job": (
        """\
global: {}
# BEGIN metrics-tunnel-a.b
scrape_configs:
- job_name: metrics-tunnel-a.b
# END metrics-tunnel-a.b
# mine
- job_name: mine
""",
        """\
global: {}
scrape_configs:
# mine
- job_name: mine
""",
    ),
    "the key goes where no job is left": (
        """\
global: {}
# BEGIN metrics-tunnel-a.b
scrape_configs:
- job_name: metrics-tunnel-a.b
# END metrics-tunnel-a.b
rule_files: []
""",
        """\
global: {}
rule_files: []
""",
    ),
    "the newline stays before what somebody has written behind the block": (
        """\
scrape_configs:
# BEGIN metrics-tunnel-a.b joined
- job_name: metrics-tunnel-a.b
# END metrics-tunnel-a.b
- job_name: mine
""",
        """\
scrape_configs:
- job_name: mine
""",
    ),
}
TAKEN_OUT: Mapping[str, tuple[bytes, bytes]] = {
    name: (given.encode(), wanted.encode()) for name, (given, wanted) in _TAKEN_OUT.items()
}

_OWN = """\
  - job_name: own
    static_configs:
      - targets: ['127.0.0.1:9090']
"""
_LONG = "x" * 70000
_GLOBAL = "global:\n  scrape_interval: 30s\n"
PLAIN = f"{_GLOBAL}scrape_configs:\n{_OWN}"

_SERVED = {
    "plain": PLAIN,
    "quoted key": f'"global":\n  "scrape_interval": 30s\n"scrape_configs":\n{_OWN}',
    "key in single quotes": f"{_GLOBAL}'scrape_configs':\n{_OWN}",
    "blanks before the colon": f"{_GLOBAL}scrape_configs  :\n{_OWN}",
    "blanks behind the colon": f"{_GLOBAL}scrape_configs:  \t \n{_OWN}",
    "comment behind the key": f"{_GLOBAL}scrape_configs: # all: [of] them\n{_OWN}",
    "comment behind a tab": f"{_GLOBAL}scrape_configs:\t# mine\n{_OWN}",
    "tag": f"{_GLOBAL}scrape_configs: !!seq\n{_OWN}",
    "tag and comment": f"{_GLOBAL}scrape_configs: !!seq # a list\n{_OWN}",
    "document end, no jobs": f"---\n{_GLOBAL}...\n",
    "document start and end": f"---\n{PLAIN}...\n",
    "document markers with comments": f"--- # begins\n{PLAIN}... # ends\n",
    "document end without a newline": f"{_GLOBAL}...",
    "two documents": f"{PLAIN}---\n# second\n",
    "two documents, no jobs in the first": f"---\n{_GLOBAL}---\nscrape_configs:\n{_OWN}",
    "two documents with jobs": f"{PLAIN}---\nscrape_configs:\n  - job_name: second\n",
    "directive": f"%YAML 1.1\n---\n{PLAIN}",
    "directive and comments, no jobs": f"# top\n%YAML 1.1\n# more\n---\n{_GLOBAL}",
    "indented root": "".join(f"  {line}\n" for line in PLAIN.splitlines()),
    "indented root, no jobs": "  global:\n    scrape_interval: 30s\n",
    "indented root, list at the key's indent": f"  {_GLOBAL.replace(chr(10), chr(10) + '  ')}scrape_configs:\n{_OWN}",
    "byte order mark": f"\ufeffscrape_configs:\n{_OWN}",
    "byte order mark, no jobs": f"\ufeff{_GLOBAL}",
    "byte order mark, indented root": f"\ufeff  scrape_configs:\n  {_OWN.replace(chr(10), chr(10) + '  ')}\n",
    "dash alone": "scrape_configs:\n  -\n    job_name: own\n    static_configs:\n      -\n        targets: ['a:1']\n",
    "dash and comment": "scrape_configs:\n  - # mine\n    job_name: own\n",
    "dashes at the margin": "scrape_configs:\n-\n  job_name: own\n- job_name: other\nalerting: {}\n",
    "list at indent 0": f"scrape_configs:\n{_OWN.replace(chr(10) + '  ', chr(10))[2:]}rule_files: []\n",
    "list at indent 4": f"scrape_configs:\n  {_OWN.replace(chr(10), chr(10) + '  ')}\n",
    "anchors": """\
global: &g
  scrape_interval: 30s
scrape_configs:
  - &base
    job_name: own
    relabel_configs: &rel
      - source_labels: [__address__]
        target_label: a
    static_configs:
      - targets: ['127.0.0.1:9090']
  - <<: *base
    job_name: other
    relabel_configs: *rel
""",
    "comments inside": f"""\
{_GLOBAL}scrape_configs:
# - job_name: old
#   static_configs: []

      # - deep comment
  # - job_name: x
{_OWN}  # - job_name: z
#END
""",
    "items in braces": "scrape_configs:\n  - {job_name: own}\n  - {\n    job_name: other }\n",
    "a job over several lines": "scrape_configs:\n  - job_name:\n      own\n",
    "key in a block scalar": f"global:\n  external_labels:\n    a: |\n     scrape_configs:\nscrape_configs:\n{_OWN}",
    "the key in another mapping": f"global:\n  external_labels:\n    scrape_configs: x\nscrape_configs:\n{_OWN}",
    "the key in another mapping, no jobs": "global:\n  external_labels:\n    scrape_configs: x\n",
    "the key in a comment": f"#scrape_configs:\n# scrape_configs: []\n{PLAIN}",
    "a brace at the margin": "global: {\nscrape_interval: 30s\n}\nrule_files: [\n'/a/*.yml',\n'/b/*.yml'\n]\n",
    "a block scalar at the end": "global:\n  external_labels:\n    a: |+\n      text\n\n\n",
    "list not at the end": f"scrape_configs:\n{_OWN}rule_files:\n  - /rules/*.yml\n\n\n",
    "key as the last line": f"{_GLOBAL}scrape_configs:\n",
    "key as the last line, without a newline": f"{_GLOBAL}scrape_configs:",
    "key without jobs": f"scrape_configs:\n# none yet\n\n{_GLOBAL}",
    "no jobs": _GLOBAL,
    "no final newline": PLAIN.rstrip("\n"),
    "no jobs, no final newline": _GLOBAL.rstrip("\n"),
    "only blanks behind the last line": f"{_GLOBAL}  \n\n   ",
    "empty": "",
    "blank lines": "\n\n",
    "comments alone": "# nothing\n# yet",
    "marker alone": "---\n",
    "markers alone": "---\n...\n",
    "crlf": PLAIN.replace("\n", "\r\n"),
    "crlf, no jobs": _GLOBAL.replace("\n", "\r\n"),
    "crlf, key as the last line": f"{_GLOBAL}scrape_configs:\n".replace("\n", "\r\n"),
    "crlf, document end": f"---\n{_GLOBAL}...\n".replace("\n", "\r\n"),
    "crlf, dash alone": "scrape_configs:\r\n  -\r\n    job_name: own\r\n",
    "trailing blanks": "scrape_configs:   \n  - job_name: own   \n\n",
    "beyond ascii": f"# Überwachung 日本 \U0001f600\n{PLAIN}",
    "very long lines": f"# {_LONG}\nscrape_configs: # {_LONG}\n  - job_name: own\n    params: {{a: [{_LONG}]}}\n",
    "many lines": f"scrape_configs:\n  - job_name: own\n{'    # more' * 40000}\n",
}
SERVED: Mapping[str, bytes] = {name: text.encode() for name, text in _SERVED.items()}

NO_LIST = "scrape_configs is no block list; write scrape_configs: alone on its line"
ELSEWHERE = "our job would not come into its list; write scrape_configs: alone on its line"
_REFUSED: Mapping[str, tuple[str | bytes, str]] = {
    "anchored list": (
        f"{_GLOBAL}scrape_configs: &jobs\n{_OWN}",
        "scrape_configs has an anchor, which may be used elsewhere; take it away",
    ),
    "anchor behind a tag": (f"scrape_configs: !!seq &jobs\n{_OWN}", NO_LIST),
    "anchor on a line of its own": (f"scrape_configs:\n  &jobs\n{_OWN}", NO_LIST),
    "tag on a line of its own": (f"scrape_configs:\n  !!seq\n{_OWN}", NO_LIST),
    "json": (
        '{"global":{"scrape_interval":"30s"},"scrape_configs":[{"job_name":"own"}]}\n',
        "it is written as JSON; write it as YAML",
    ),
    "json over several lines": ('\n{\n  "scrape_configs": [{\n"job_name": "own"}]\n}\n', "it is written as JSON"),
    "braces alone": ("{}\n", "it is written as JSON"),
    "json behind a marker": ('--- {"scrape_configs":[{"job_name":"own"}]}\n', "it begins on the line of its ---"),
    "nothing behind a marker": ("--- ~\n", "it begins on the line of its ---"),
    "empty list": ("scrape_configs: []\n", NO_LIST),
    "null": ("scrape_configs: null\n", NO_LIST),
    "tilde": ("scrape_configs: ~ # none\n", NO_LIST),
    "list in brackets": ("scrape_configs: [{job_name: own}]\n", NO_LIST),
    "list in brackets over several lines": ("scrape_configs: [\n  {job_name: own},\n  {job_name: other}\n]\n", NO_LIST),
    "list in brackets below": ("scrape_configs:\n  [{job_name: own}]\n", NO_LIST),
    "crlf, empty list": ("scrape_configs: []\r\n", NO_LIST),
    "merge key": ("<<: {scrape_configs: [{job_name: own}]}\n", "it has a merge key (<<) at its margin"),
    "utf-16": (PLAIN.encode("utf-16"), "it is not UTF-8; save it as that"),
}
REFUSED: Mapping[str, tuple[bytes, str]] = {
    name: (text if isinstance(text, bytes) else text.encode(), reason) for name, (text, reason) in _REFUSED.items()
}

_ELSEWHERE = {
    "question mark": f"? scrape_configs\n:\n{_OWN}",
    "escaped key": f'"scrape\\x5fconfigs":\n{_OWN}',
    "tagged key": f"!!str scrape_configs:\n{_OWN}",
    "anchored key": f"&k scrape_configs:\n{_OWN}",
    "lines that end as on old machines": PLAIN.replace("\n", "\r"),
    "the key in a text over several lines": 'global:\n  external_labels:\n    a: "\nscrape_configs:\n"\n',
}
ASKED: Mapping[str, bytes] = {name: text.encode() for name, text in _ELSEWHERE.items()}
"""Those that the editor alone would take wrongly: promtool says so of what comes out."""
