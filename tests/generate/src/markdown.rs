//! Text of doc comments, as Markdown.

/// The lines of a doc comment without the space that each begins with.
pub(crate) fn lines(comment: &[&'static str]) -> Vec<&'static str> {
    let without_space = |line: &&'static str| line.strip_prefix(' ').unwrap_or(line);
    comment.iter().map(without_space).collect()
}
