//! What is wrong with a body: every problem with its place, in one answer.

use std::fmt;

use crate::error::{Error, FieldError, Result};

/// A place in a body, such as `content.zh_cn.content[0][1].href`. Made on the way down, written only when something is wrong.
#[derive(Clone, Copy, Debug)]
pub struct Path<'p> {
    above: Option<&'p Path<'p>>,
    part: Part<'p>,
}

#[derive(Clone, Copy, Debug)]
enum Part<'p> {
    Field(&'p str),
    Index(usize),
}

impl<'p> Path<'p> {
    /// The field `name` of the body.
    #[must_use]
    pub const fn of(name: &'p str) -> Self {
        Self {
            above: None,
            part: Part::Field(name),
        }
    }

    /// The field `name` of the object here.
    #[must_use]
    pub const fn field<'q>(&'q self, name: &'q str) -> Path<'q> {
        Path {
            above: Some(self),
            part: Part::Field(name),
        }
    }

    /// The entry `index` of the array here, from 0.
    #[must_use]
    pub const fn index(&self, index: usize) -> Path<'_> {
        Path {
            above: Some(self),
            part: Part::Index(index),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = vec![self.part];
        let mut above = self.above;
        while let Some(path) = above {
            parts.push(path.part);
            above = path.above;
        }
        for (at, part) in parts.into_iter().rev().enumerate() {
            match part {
                Part::Field(name) if at == 0 => f.write_str(name)?,
                Part::Field(name) => write!(f, ".{name}")?,
                Part::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The problems of one body. What is beyond [`Problems::MAX`] is dropped: the caller has enough to do.
#[derive(Debug, Default)]
pub struct Problems {
    wrong: Vec<FieldError>,
    dropped: usize,
    is_about_size: bool,
}

impl Problems {
    /// How many are told in one answer.
    pub const MAX: usize = 20;

    /// Adds what is wrong at `path` and what is right.
    pub fn add(&mut self, path: &Path<'_>, message: impl Into<String>) {
        if self.is_full() {
            self.dropped += 1;
            return;
        }
        self.wrong.push(FieldError {
            field: path.to_string(),
            message: message.into(),
        });
    }

    /// Adds that what is at `path` is larger than the platform takes.
    pub fn add_too_large(&mut self, path: &Path<'_>, message: impl Into<String>) {
        self.is_about_size |= self.wrong.is_empty();
        self.add(path, message);
    }

    /// Adds the fields of an [`Error::InvalidArgument`] under the name of `path`; another error counts as one about `path`.
    pub(crate) fn add_error(&mut self, path: &Path<'_>, error: &Error) {
        if let Error::InvalidArgument(errors) = error {
            for error in errors {
                self.add(path, error.message.clone());
            }
        } else {
            self.add(path, error.to_string());
        }
    }

    /// Adds all of `others` as problems of `path` itself.
    pub(super) fn add_all_at(&mut self, path: &Path<'_>, others: Self) {
        for other in others.wrong {
            self.add(path, other.message);
        }
    }

    /// How many there are, with those that were dropped.
    #[must_use]
    pub fn count(&self) -> usize {
        self.wrong.len() + self.dropped
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wrong.is_empty()
    }

    /// Whether another problem would be dropped.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.wrong.len() >= Self::MAX
    }

    /// Nothing, if nothing is wrong.
    ///
    /// # Errors
    /// [`Error::FieldTooLarge`] when the only problem is a size, else [`Error::InvalidArgument`] with all of them.
    pub fn into_result(self) -> Result<()> {
        let Self {
            mut wrong,
            is_about_size,
            dropped: _,
        } = self;
        match wrong.pop() {
            None => Ok(()),
            Some(only) if wrong.is_empty() && is_about_size => Err(Error::FieldTooLarge(only)),
            Some(last) => {
                wrong.push(last);
                Err(Error::InvalidArgument(wrong))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_in_a_program() {
        let content = Path::of("content");
        let language = content.field("zh_cn");
        let paragraphs = language.field("content");
        let paragraph = paragraphs.index(0);
        let node = paragraph.index(1);
        assert_eq!(
            node.field("href").to_string(),
            "content.zh_cn.content[0][1].href"
        );
    }

    #[test]
    fn so_many_problems_are_told_and_no_more() {
        let mut problems = Problems::default();
        for _ in 0..100 {
            problems.add(&Path::of("x"), "must be something else");
        }
        assert_eq!(problems.count(), 100);
        let Err(Error::InvalidArgument(errors)) = problems.into_result() else {
            panic!("there are problems");
        };
        assert_eq!(errors.len(), Problems::MAX);
    }

    #[test]
    fn a_size_is_an_error_of_its_own_when_it_is_the_only_problem() {
        let path = Path::of("content");
        let mut large = Problems::default();
        large.add_too_large(&path, "is too large");
        assert!(matches!(large.into_result(), Err(Error::FieldTooLarge(_))));
        let mut both = Problems::default();
        both.add_too_large(&path, "is too large");
        both.add(&path, "is wrong");
        assert!(matches!(both.into_result(), Err(Error::InvalidArgument(all)) if all.len() == 2));
        assert!(Problems::default().into_result().is_ok());
    }
}
