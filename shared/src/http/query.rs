//! Query parameters that a route does not know.

use crate::error::{Error, FieldError, Result};

/// How many wrong parameters an answer names, and how many characters of each: it does not grow with the request.
const MAX_NAMED: usize = 20;
const MAX_SHOWN: usize = 64;

/// Refuses `names`, of parameters, that are not `known`.
///
/// # Errors
/// [`Error::InvalidArgument`] naming each unknown one, up to twenty.
pub(super) fn only<'n>(names: impl Iterator<Item = &'n str>, known: &[&str]) -> Result<()> {
    let right = if known.is_empty() {
        "no query parameter is".to_owned()
    } else {
        format!("known: {}", known.join(", "))
    };
    let mut unknown: Vec<_> = names
        .filter(|name| !known.contains(name))
        .map(|name| FieldError {
            field: shown(name),
            message: format!("is not known here; {right}"),
        })
        .take(MAX_NAMED)
        .collect();
    unknown.dedup();
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(Error::InvalidArgument(unknown))
    }
}

/// `name`, which may be of any length, as an answer shows it.
fn shown(name: &str) -> String {
    match name.char_indices().nth(MAX_SHOWN) {
        None => name.to_owned(),
        Some((end, _)) => format!("{}…", &name[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_does_not_grow_with_the_parameters() {
        let names: Vec<_> = (0..5_000)
            .map(|number| format!("{number}{}", "é".repeat(1_000)))
            .collect();
        let names = names.iter().map(String::as_str);
        let Err(Error::InvalidArgument(errors)) = only(names, &[]) else {
            panic!("must be refused")
        };
        assert_eq!(errors.len(), 20);
        let length: usize = errors.iter().map(|it| it.field.chars().count()).sum();
        assert_eq!(length, 20 * 65);
    }
}
