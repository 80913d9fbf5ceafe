//! Floors: in the library crate and in the simulator a module imports only from floors below its own.
//!
//! `lib.rs` lists the modules from the top to the ground; a blank line ends a floor. What two floors need belongs to the lower
//! one.

use std::collections::BTreeMap;

use crate::project::{files, report, text};

/// The sources of the crates whose `lib.rs` lists its modules in floors.
const CRATES: [&str; 2] = ["shared/src", "local/simulator/src"];

/// The floor of each module of `library`, the text of a `lib.rs`; the ground has the highest number.
fn floors(library: &str) -> BTreeMap<&str, usize> {
    let mut floors = BTreeMap::new();
    let mut floor = 0;
    for line in library.lines() {
        if line.trim().is_empty() {
            floor += 1;
        }
        let line = line
            .trim_start_matches("pub ")
            .trim_start_matches("pub(crate) ");
        if let Some(name) = line
            .strip_prefix("mod ")
            .and_then(|rest| rest.strip_suffix(';'))
        {
            floors.insert(name, floor);
        }
    }
    floors
}

/// The lines of `source` before its tests, which may look anywhere, with their numbers; comments left out.
fn code(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(source.lines());
    lines
        .take_while(|(_, line)| !line.starts_with("mod tests {"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The modules of the crate that `line` names by `crate::…`.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let paths = line.split("crate::").skip(1);
    paths.map(|path| {
        let end = path.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &path[..end.unwrap_or(path.len())]
    })
}

/// The modules of the crate that `line`, in a module so deep below the crate, names by `super::super::…`.
fn named_from_within(line: &str, depth: usize) -> Vec<&str> {
    let to_the_crate = "super::".repeat(depth);
    let paths = line.split(to_the_crate.as_str()).skip(1);
    let names = paths.map(|path| {
        let end = path.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &path[..end.unwrap_or(path.len())]
    });
    names.collect()
}

/// What is wrong with the file at `path` in the crate whose modules are on `floors`. `inside` is its path in the crate's folder.
fn problems(floors: &BTreeMap<&str, usize>, path: &str, inside: &str, source: &str) -> Vec<String> {
    let module = inside.split(['/', '.']).next().unwrap_or_default();
    let Some(own) = floors.get(module) else {
        return Vec::new();
    };
    let depth = inside.split('/').count();
    let imports = code(source).flat_map(|(number, line)| {
        let names = named(line).chain(named_from_within(line, depth));
        names.map(move |it| (number, it))
    });
    let upward = imports.filter(|(_, other)| {
        // `crate::{a, b}` would hide its modules from this test, and from whoever searches for them.
        other.is_empty() || *other != module && floors.get(other).is_some_and(|other| other <= own)
    });
    upward
        .map(|(number, other)| {
            format!(
                "{path}:{number}: `{module}` may not import `{other}`: it must be named, and stand on a floor below; move there what both need"
            )
        })
        .collect()
}

#[test]
fn modules_import_only_from_floors_below() {
    report(CRATES.into_iter().flat_map(|folder| {
        let library = text(&format!("{folder}/lib.rs"));
        let floors = floors(&library);
        let mut found = Vec::new();
        for path in files(folder, ".rs") {
            let inside = &path[folder.len() + 1..];
            let is_test = inside.ends_with("/tests.rs") || inside.contains("/tests/");
            if !is_test {
                found.extend(problems(&floors, &path, inside, &text(&path)));
            }
        }
        found
    }));
}

#[test]
fn every_module_stands_on_a_floor() {
    report(CRATES.into_iter().flat_map(|folder| {
        let library = text(&format!("{folder}/lib.rs"));
        let floors = floors(&library);
        let modules = files(folder, ".rs").into_iter().filter_map(|path| {
            let name = path[folder.len() + 1..].strip_suffix(".rs")?.to_owned();
            let is_module = !name.contains('/') && name != "lib" && name != "main";
            is_module.then_some(name)
        });
        let missing: Vec<_> = modules
            .filter(|name| !floors.contains_key(name.as_str()))
            .map(|name| format!("{folder}/lib.rs does not list `{name}` as `mod {name};`"))
            .collect();
        missing
    }));
}

#[test]
fn an_import_from_above_is_found_with_its_line() {
    let floors = floors("// Top.\npub mod high;\n\npub mod left;\npub mod right;\n\nmod low;\n");
    let check = |inside: &str, source: &str, found: &[&str]| {
        let problems = problems(&floors, "x.rs", inside, source);
        let places: Vec<_> = problems
            .iter()
            .map(|it| it.split(" `").next().unwrap_or_default())
            .collect();
        assert_eq!(places, found, "{source}");
    };
    check("low.rs", "\nuse crate::high::Thing;\n", &["x.rs:2:"]);
    check("left.rs", "use crate::right::Thing;\n", &["x.rs:1:"]);
    check(
        "left.rs",
        "fn f(it: &crate::high::Thing) {}\n",
        &["x.rs:1:"],
    );
    check(
        "left.rs",
        "use crate::low::Thing;\nuse crate::left::Other;\n",
        &[],
    );
    check(
        "high.rs",
        "use crate::low;\nuse crate::right::Thing;\n",
        &[],
    );
    check("high.rs", "use crate::{low, right};\n", &["x.rs:1:"]);
    check("low.rs", "/// As [`crate::high::Thing`].\nfn f() {}\n", &[]);
    check(
        "low.rs",
        "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::high::Thing;\n}\n",
        &[],
    );
    check("left.rs", "use super::right::Thing;\n", &["x.rs:1:"]);
    check(
        "left/deep.rs",
        "use super::super::high::Thing;\n",
        &["x.rs:1:"],
    );
    check("left/deep.rs", "use super::super::low::Thing;\n", &[]);
    check("left/deep.rs", "use super::right::Thing;\n", &[]);
    check("left/deep/er.rs", "use super::super::right::Thing;\n", &[]);
}
