//! Refusals of cards.

use super::{Actor, Remedy, row};

/// Refusals of cards, whose codes stand in the words of the code 230099.
pub const CARDS: &[Remedy] = &[
    row(
        11_310,
        "the card has over 200 elements, is locked, or its template is not visible",
        Actor::Caller,
        "Make it smaller; for a template, release it and allow the app to use it.",
    ),
    row(
        100_290,
        "somebody who is mentioned does not exist for this app",
        Actor::Caller,
        "Correct the ids in `at` and `person`.",
    ),
    row(
        200_380,
        "the template does not exist",
        Actor::Caller,
        "Correct the `template_id`, and release the template.",
    ),
    row(
        200_381,
        "the template is not visible to the app",
        Actor::Operator,
        "Allow the app to use the template, in the card builder.",
    ),
    row(
        200_550,
        "a chart is wrong",
        Actor::Caller,
        "Correct `chart_spec`.",
    ),
    row(
        200_570,
        "the key of a picture is wrong",
        Actor::Caller,
        "Upload the picture with the app that sends.",
    ),
    row(
        200_621,
        "the card is no card in JSON",
        Actor::Caller,
        "Correct the JSON where `msg` says.",
    ),
    row(
        200_732,
        "a variable of the template has the wrong type",
        Actor::Caller,
        "Correct `template_variable`.",
    ),
    row(
        200_737,
        "a variable of the template has the wrong form",
        Actor::Caller,
        "Correct `template_variable`.",
    ),
    row(
        200_861,
        "an element is not in schema 2.0",
        Actor::Caller,
        "Replace the element that `msg` names.",
    ),
    row(
        200_914,
        "the rows of a table are wrong",
        Actor::Caller,
        "Correct the table's rows.",
    ),
    row(
        200_915,
        "the rows of a table are wrong",
        Actor::Caller,
        "Correct the table's rows.",
    ),
    row(
        300_220,
        "the audio of the card is wrong",
        Actor::Caller,
        "Correct the audio element.",
    ),
    row(
        300_230,
        "the audio of the card is wrong",
        Actor::Caller,
        "Correct the audio element.",
    ),
    row(
        300_240,
        "the audio of the card is wrong",
        Actor::Caller,
        "Correct the audio element.",
    ),
];
