//! A field of a request that is wrong.

/// How much is quoted of what is wrong, in characters.
const MAX_QUOTED: usize = 200;

/// A field of a request that is wrong.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Where it is: `id_type`, `header X-Lark-App-Id`, `ids[3]`.
    pub field: String,
    /// What is wrong and what is right.
    pub message: String,
}

impl FieldError {
    /// What is wrong with JSON that was read; `body` is the JSON itself. Its text may contain what was sent, such as a secret:
    /// told are the place and what is right.
    pub(crate) fn of_json(error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let path = error.path().to_string();
        let path: String = path.chars().take(MAX_QUOTED).collect();
        Self {
            field: if path == "." { "body".to_owned() } else { path },
            message: expected(error.inner()),
        }
    }
}

/// What is wrong with the JSON, in terms of JSON and without its values.
fn expected(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let is_plain = ["missing field", "unknown field", "duplicate field"]
        .iter()
        .any(|start| text.starts_with(start));
    if is_plain {
        // It names the field, which may be of any length, and so may a line of the log.
        return text.chars().take(MAX_QUOTED).collect();
    }
    let wanted = text.rsplit_once("expected ").map(|(_, wanted)| {
        let wanted = wanted.split(" at line ").next().unwrap_or(wanted);
        match wanted {
            "f64" | "u64" | "u32" | "i64" | "i32" => "a number",
            wanted if wanted.starts_with("struct ") || wanted.starts_with("a map") => "an object",
            wanted => wanted,
        }
    });
    match wanted {
        Some(wanted) if error.is_data() => format!("must be {wanted}"),
        _ => {
            let (line, column) = (error.line(), error.column());
            format!("is not the expected JSON at line {line} column {column}")
        }
    }
}
