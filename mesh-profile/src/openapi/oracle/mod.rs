//! Whatever the reader of plain documents reads, `serde-saphyr` reads too, and as the same.

mod documents;

use super::{diagnostic::Diagnostics, document::Document, object::Object};
use mesh_yaml as yaml;
use proptest::prelude::*;
use serde::de::{DeserializeSeed, IgnoredAny};
use serde_json::Value;
use std::{fmt::Debug, marker::PhantomData};

/// Returns true for each way to read `text` in which it is a plain document: skipped, as a tree, as
/// a `Document`.
fn is_plain(text: &str) -> [bool; 3] {
    let [quick, slow] = [(); 2].map(|()| Diagnostics::new(text, "oracle"));
    let is_document = same(
        text,
        Object::<Document<'_>>::new(Some(0), &quick),
        Object::<Document<'_>>::new(Some(0), &slow),
    );
    if is_document {
        assert_eq!(format!("{quick:?}"), format!("{slow:?}"));
    }
    [
        same(text, PhantomData::<IgnoredAny>, PhantomData::<IgnoredAny>),
        same(text, PhantomData::<Value>, PhantomData::<Value>),
        is_document,
    ]
}

fn same<'t, S: DeserializeSeed<'t, Value: Debug>>(text: &'t str, quick: S, slow: S) -> bool {
    let Ok(read) = yaml::plain::read(text, quick) else {
        return false;
    };
    let oracle = yaml::Section::whole(text).parse_seed("", slow);
    let oracle = oracle.unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(format!("{read:?}"), format!("{oracle:?}"), "{text}");
    true
}

#[test]
fn usual_documents_are_plain() {
    for text in [
        include_str!("../../../tests/golden/pets.swagger.yaml"),
        include_str!("../../../tests/golden/odd.swagger.yaml"),
        "---\nopenapi: 3.1\npaths:\n  /a: { get: { responses: { 200: {}, 4XX: ~ } } }\n...\n",
        "swagger: 2.0\npaths:\n  /a:\n    get:\n      x-linkerd-retryable: yes # so\n",
        "{info: {'+1': 1, -1: .5, 2x3: -0, 1.0.0: 2e3, .github: 2020-01-01}, paths: null}",
    ] {
        assert_eq!(is_plain(text), [true; 3], "{text}");
    }
}

#[test]
fn what_has_no_one_meaning_without_the_other_reader_is_left_to_it() {
    for text in [
        "",
        "a: &b 1\n",
        "a: !!str 1\n",
        "a: {<<: {b: 1}}\n",
        "a: {b: 1, c: 2, b: 3}\n",
        "a: {0x10: 1, 16: 2}\n",
        "a: {+1: 1, 1: 2}\n",
        "a: {01: 1, 1: 2}\n",
        "a: {-0_1: 1, -1: 2}\n",
        "a: {1.0: 1, 1: 2}\n",
        "a: {1e2: 1, 100: 2}\n",
        "a: {1_0: 1, 10: 2}\n",
        "a: {-0: 1, 0: 2}\n",
        "a: [-.inf]\n",
        "a: [1e999]\n",
        "? [a]\n: 1\n",
        "a: 1\n---\nb: 1\n",
        "a: 1\n...\nb: 1\n",
        "a: [\n",
        "a: 1\n b: 2\n",
    ] {
        assert_eq!(is_plain(text), [false; 3], "{text}");
    }
}

#[test]
fn nesting_takes_no_stack_and_has_its_limit() {
    let read = |depth| {
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        yaml::plain::read(&text, PhantomData::<IgnoredAny>).is_ok()
    };
    assert!(read(yaml::MAX_DEPTH));
    assert!(!read(yaml::MAX_DEPTH + 1));
}

proptest! {
    #[test]
    fn what_is_plain_means_the_same_to_both_readers(text in documents::text(), cut in 0_usize..4_000) {
        is_plain(&text);
        let start: String = text.chars().take(cut).collect();
        is_plain(&start);
    }

    #[test]
    fn any_text_means_the_same_to_both_readers(text in "[-\\{\\}\\[\\]a-c0-2:/\n '\"#&*!|>,.~<?e_+x]{0,60}") {
        is_plain(&text);
    }
}
