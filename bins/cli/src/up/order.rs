//! Dependencies first.

use std::{collections::BTreeMap, fmt};

/// Names that depend on each other in a circle, the first again at the end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cycle(Vec<String>);

impl Cycle {
    pub(crate) fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" -> "))
    }
}

/// The names such that each comes after what it depends on; otherwise as given.
pub(crate) fn sort<'a>(edges: &BTreeMap<&'a str, Vec<&'a str>>) -> Result<Vec<&'a str>, Cycle> {
    let mut sorted = Vec::new();
    for name in edges.keys() {
        visit(name, edges, &mut Vec::new(), &mut sorted)?;
    }
    Ok(sorted)
}

fn visit<'a>(
    name: &'a str,
    edges: &BTreeMap<&'a str, Vec<&'a str>>,
    path: &mut Vec<&'a str>,
    sorted: &mut Vec<&'a str>,
) -> Result<(), Cycle> {
    if sorted.contains(&name) {
        return Ok(());
    }
    if let Some(start) = path.iter().position(|visited| *visited == name) {
        let circle = path[start..].iter().chain([&name]);
        return Err(Cycle(circle.map(ToString::to_string).collect()));
    }
    path.push(name);
    for dependency in edges.get(name).into_iter().flatten() {
        visit(dependency, edges, path, sorted)?;
    }
    path.pop();
    sorted.push(name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_after_what_it_depends_on() {
        let edges = BTreeMap::from([
            ("traffic", vec!["webapp"]),
            ("webapp", vec!["authors", "books"]),
            ("books", vec!["authors"]),
            ("authors", vec![]),
        ]);
        assert_eq!(
            sort(&edges).unwrap(),
            ["authors", "books", "webapp", "traffic"]
        );
    }

    #[test]
    fn a_circle_is_named_without_what_leads_into_it() {
        let edges = BTreeMap::from([
            ("a", vec!["b"]),
            ("b", vec!["c"]),
            ("c", vec!["d"]),
            ("d", vec!["b"]),
        ]);
        assert_eq!(sort(&edges).unwrap_err().to_string(), "b -> c -> d -> b");
        let alone = BTreeMap::from([("a", vec!["a"])]);
        assert_eq!(sort(&alone).unwrap_err().to_string(), "a -> a");
    }
}
