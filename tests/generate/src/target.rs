//! A generated file, or a generated section of a document.

use std::fmt::{Display, Formatter};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What ends a generated section.
const END: &str = "<!-- end -->";

/// What is generated: where it stands, seen from the workspace's folder, and what renders it.
pub(crate) enum Target {
    /// A whole file.
    File(&'static str, fn() -> String),
    /// The section of this name in a document.
    Section(&'static str, &'static str, fn() -> String),
}

/// Why a target is not current or cannot be made so.
#[derive(Debug)]
pub(crate) enum Problem {
    Outdated,
    NoSection(&'static str),
    Io(io::Error),
}

impl Target {
    /// Writes the target unless it is current; whether it was written.
    ///
    /// # Errors
    /// [`Problem::Io`], and [`Problem::NoSection`] when the document has no such section.
    pub(crate) fn write(&self) -> Result<bool, Problem> {
        let (current, wanted) = self.current_and_wanted()?;
        let is_outdated = current.as_deref() != Some(&*wanted);
        if is_outdated {
            fs::write(self.path(), wanted).map_err(Problem::Io)?;
        }
        Ok(is_outdated)
    }

    /// Passes if the target is current, without writing anything.
    ///
    /// # Errors
    /// [`Problem`], [`Problem::Outdated`] for one that is not.
    pub(crate) fn check(&self) -> Result<bool, Problem> {
        let (current, wanted) = self.current_and_wanted()?;
        if current.as_deref() == Some(&*wanted) {
            Ok(false)
        } else {
            Err(Problem::Outdated)
        }
    }

    fn path(&self) -> PathBuf {
        let (Self::File(path, _) | Self::Section(path, ..)) = self;
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        workspace.join(path)
    }

    /// The file as it is, if it exists, and as it should be.
    fn current_and_wanted(&self) -> Result<(Option<String>, String), Problem> {
        let current = match fs::read_to_string(self.path()) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Problem::Io(error)),
        };
        let wanted = match self {
            Self::File(_, render) => render(),
            Self::Section(_, name, render) => {
                let document = current.as_deref().unwrap_or_default();
                replaced(document, name, &render()).ok_or(Problem::NoSection(name))?
            }
        };
        Ok((current, wanted))
    }
}

/// `document` with `body` as its section `name`; none if it has no such section.
fn replaced(document: &str, name: &str, body: &str) -> Option<String> {
    let start = format!("{}\n", marker(name));
    let (before, rest) = document.split_once(&start)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{start}\n{}\n\n{END}{after}", body.trim()))
}

/// The line with which the section `name` starts.
fn marker(name: &str) -> String {
    format!("<!-- generated: {name}; make generate -->")
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path, _) => write!(f, "{path}"),
            Self::Section(path, name, _) => write!(f, "{path}, section {name}"),
        }
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Outdated => write!(
                f,
                "not what the code says; run `make generate` and commit the result"
            ),
            Self::NoSection(name) => write!(
                f,
                "the section is missing; add the lines `{}` and `{END}`, then run `make generate`",
                marker(name)
            ),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "a\n\n<!-- generated: one; make generate -->\n\nold\n\n<!-- end -->\n\nb\n\n\
        <!-- generated: two; make generate -->\n<!-- end -->\n";

    #[test]
    fn only_the_named_section_changes() {
        assert_eq!(
            replaced(DOCUMENT, "one", "new\n").unwrap(),
            DOCUMENT.replace("old", "new")
        );
        let second = replaced(DOCUMENT, "two", "new").unwrap();
        assert!(second.ends_with("make generate -->\n\nnew\n\n<!-- end -->\n"));
        assert!(second.contains("old"));
    }

    #[test]
    fn what_is_generated_twice_is_the_same() {
        let once = replaced(DOCUMENT, "two", "new").unwrap();
        assert_eq!(replaced(&once, "two", "new").unwrap(), once);
    }

    #[test]
    fn a_section_that_is_missing_is_not_made_up() {
        assert_eq!(replaced(DOCUMENT, "three", "new"), None);
    }
}
