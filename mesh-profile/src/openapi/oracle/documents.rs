//! Documents of the words that matter to the readers, in every style of YAML.

use proptest::{prelude::*, sample::select};

#[derive(Clone, Debug)]
enum Tree {
    Leaf(&'static str),
    Map(bool, Vec<(&'static str, Self)>),
    List(bool, Vec<Self>),
}

/// The probable; then the odd: what is written in more than one way, or is less than it seems.
const VALUES: [&str; 2] = [
    "~ null text 'it''s' \"\\u00e9\\n\" é 'null' true yes 'true' 0 7 -7 2.0 3.1 3.1.0 2s 300ms /v1 {} [] \
     https://example.com/v{n} '#/paths/~1a' '#/components/responses/a'",
    "Null True Off n -0 +0 +7 007 0x1F 0o17 0b11 1_000 1e3 1e400 -1e400 .5 5. . .. - --- -.5 .inf \
     -.INF +.inf .nan inf infinity -nan 18446744073709551615 18446744073709551616 \
     -9223372036854775808 -9223372036854775809 2020-01-01 12:30 1,2 *a %a @a ` a:b a#b << =",
];

const PHRASES: [&str; 14] = [
    "",
    "a # note",
    "more text",
    "\"two\n      lines\"",
    "one\n      two\n\n      three",
    "|\n      block\n      text",
    ">-\n      folded\n      text",
    "--- a",
    "? a",
    "&a x",
    "!!str 1",
    "!!int '1'",
    "!x y",
    "[*a]",
];

const NAMES: [&str; 2] = [
    "paths /a /{b} get put post Get trace $ref '$ref' responses servers url swagger openapi \
     components basePath variables default x-linkerd-timeout x-linkerd-retryable x-linkerd-failure \
     x-linkerd-retriable x-other parameters schema description 200 '200' 0200 503 4XX 5xx",
    "2_00 +200 0xC8 200.0 '/a' \"/\\x61\" null ~ '' true yes << '<<' .inf -1 1 *a [k] é",
];

const ODD_NAMES: [&str; 4] = ["? a", "a b", "&a k", "!!str k"];

fn words(text: &'static str, more: &[&'static str]) -> impl Strategy<Value = &'static str> {
    select(
        text.split_whitespace()
            .chain(more.iter().copied())
            .collect::<Vec<_>>(),
    )
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        5 => words(VALUES[0], &PHRASES[..7]),
        1 => words(VALUES[1], &PHRASES),
    ];
    let name = prop_oneof![
        30 => words(NAMES[0], &[]),
        1 => words(NAMES[1], &ODD_NAMES),
    ];
    leaf.prop_map(Tree::Leaf)
        .prop_recursive(6, 50, 6, move |inner| {
            let members = prop::collection::vec((name.clone(), inner.clone()), 0..6);
            let members =
                (members, prop::bool::weighted(0.95)).prop_map(|(mut members, distinct)| {
                    let mut seen = Vec::new();
                    members.retain(|(name, _)| {
                        let is_new = !seen.contains(name);
                        seen.push(*name);
                        is_new || !distinct
                    });
                    members
                });
            prop_oneof![
                1 => (any::<bool>(), prop::collection::vec(inner, 0..4))
                    .prop_map(|(flow, items)| Tree::List(flow, items)),
                5 => (prop::bool::weighted(0.2), members)
                    .prop_map(|(flow, members)| Tree::Map(flow, members)),
            ]
        })
}

impl Tree {
    /// Writes it after what stands on its line already.
    fn write(&self, out: &mut String, indent: usize, in_flow: bool) {
        let line = |out: &mut String| {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
        };
        match self {
            Self::Leaf(text) if in_flow && text.contains(['|', '>']) => out.push_str(" x"),
            Self::Leaf(text) => {
                out.push(' ');
                out.push_str(&text.replace("\n      ", &format!("\n{:indent$}  ", "")));
            }
            Self::Map(flow, members) if *flow || in_flow || members.is_empty() => {
                out.push_str(" {");
                for (name, value) in members {
                    out.push_str(name);
                    out.push(':');
                    value.write(out, indent + 2, true);
                    out.push_str(", ");
                }
                out.push('}');
            }
            Self::List(flow, items) if *flow || in_flow || items.is_empty() => {
                out.push_str(" [");
                for item in items {
                    item.write(out, indent + 2, true);
                    out.push_str(", ");
                }
                out.push(']');
            }
            Self::Map(_, members) => {
                for (name, value) in members {
                    line(out);
                    out.push_str(name);
                    out.push(':');
                    value.write(out, indent + 2, false);
                }
            }
            Self::List(_, items) => {
                for item in items {
                    line(out);
                    out.push('-');
                    item.write(out, indent + 2, false);
                }
            }
        }
    }
}

/// A text that is a document as a rule.
pub(super) fn text() -> impl Strategy<Value = String> {
    let before = select(vec![
        "",
        "",
        "",
        "---",
        "--- # note",
        "%YAML 1.2\n---",
        "\u{feff}",
        "# note\n",
        "\t",
    ]);
    let after = select(vec![
        "\n",
        "\n",
        "\n",
        "",
        "\n...\n",
        "\n# note",
        "\n---\na: 1\n",
        "\n]",
        "\r\n",
    ]);
    (
        before,
        prop::collection::vec((words(NAMES[0], &[]), tree()), 0..4),
        after,
    )
        .prop_map(|(before, members, after)| {
            let mut out = before.to_owned();
            Tree::Map(false, members).write(&mut out, 0, false);
            out + after
        })
}
