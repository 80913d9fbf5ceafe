//! What to do about refusals, from the table of the code.

use lark_service::lark::remedies::{CARDS, REMEDIES, Remedy};

/// A table of every code about messages, and one of the codes of cards.
pub(crate) fn tables() -> String {
    let mut text = "| code | meaning | `who` | `action` |\n| --- | --- | --- | --- |\n".to_owned();
    text += &rows(REMEDIES);
    text += "\nOf a refused card (230099) the card's own code, which stands in `msg`, decides:\n\n";
    text += "| code | meaning | `who` | `action` |\n| --- | --- | --- | --- |\n";
    text += &rows(CARDS);
    text
}

fn rows(table: &[Remedy]) -> String {
    let rows = table.iter().map(|row| {
        let Remedy {
            code,
            meaning,
            who,
            action,
        } = row;
        format!("| {code} | {meaning} | `{}` | {action} |\n", who.as_str())
    });
    rows.collect()
}
