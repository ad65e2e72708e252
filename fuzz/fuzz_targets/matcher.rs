//! The compiled lookup against the slow meaning, on profiles made of the input.

#![no_main]

use arbitrary::{Result, Unstructured};
use http::Method;
use libfuzzer_sys::fuzz_target;
use mesh_fuzz::{Slow, check};
use mesh_profile::{Profile, ProfileSpec, RequestMatchSpec, RouteSpec};

const METHODS: [&str; 4] = ["GET", "POST", "PURGE", "get"];

/// Parts of patterns; those of paths are among them, so that there is something to match.
const PARTS: [&str; 24] = [
    "/", "/", "/", "a", "b", "ab", "[^/]*", "[^/]*", "[^/]+", r"\.", ".", ":b", "%2F", "[0-9]+",
    "(a|b)", "(?i)a", ".*", "|", "^", "$", "?", "é", "[^/]{2}", "[a-z]",
];

const SEGMENTS: [&str; 14] = [
    "/", "/", "/", "a", "b", "ab", "A", ".", ":b", "%2F", "12", "é", "\n", "x",
];

fuzz_target!(|data: &[u8]| {
    let _ = run(&mut Unstructured::new(data));
});

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let routes = (0..input.int_in_range(1..=8)?)
        .map(|i| {
            Ok(RouteSpec {
                name: i.to_string(),
                condition: condition(input, 3)?,
                ..RouteSpec::default()
            })
        })
        .collect::<Result<_>>()?;
    // What is no regex is left out, with its route.
    let (profile, _) = Profile::compile_lenient(ProfileSpec {
        routes,
        ..ProfileSpec::default()
    });
    let mut slow = Slow::default();
    for _ in 0..input.int_in_range(1..=8)? {
        let method = input.choose(&METHODS)?;
        let method = Method::from_bytes(method.as_bytes()).expect("these are methods");
        check(&profile, &mut slow, &method, &text(input, &SEGMENTS)?);
    }
    Ok(())
}

fn condition(input: &mut Unstructured<'_>, depth: usize) -> Result<RequestMatchSpec> {
    let mut spec = RequestMatchSpec::default();
    let members: u8 = input.arbitrary()?;
    if members & 1 == 0 {
        spec.path_regex = Some(text(input, &PARTS)?);
    }
    if members & 2 == 0 {
        spec.method = Some((*input.choose(&METHODS)?).to_owned());
    }
    if depth == 0 {
        return Ok(spec);
    }
    let list = |input: &mut Unstructured<'_>| {
        (0..input.int_in_range(0..=2)?)
            .map(|_| condition(input, depth - 1))
            .collect::<Result<Vec<_>>>()
    };
    if members & 28 == 4 {
        spec.all = Some(list(input)?);
    }
    if members & 28 == 8 {
        spec.any = Some(list(input)?);
    }
    if members & 28 == 12 {
        spec.not = Some(Box::new(condition(input, depth - 1)?));
    }
    Ok(spec)
}

/// Parts in a row, and now and then whatever the input says.
fn text(input: &mut Unstructured<'_>, parts: &[&str]) -> Result<String> {
    let mut text = String::from("/");
    for _ in 0..input.int_in_range(0..=8)? {
        match input.int_in_range(0..=15)? {
            0 => text.push(input.int_in_range(b' '..=b'~')?.into()),
            _ => text.push_str(input.choose(parts)?),
        }
    }
    Ok(text)
}
