//! The HTML pages of a login, without scripts.

/// The content of the authorize page.
pub(crate) struct ConsentForm<'a> {
    pub(crate) app_id: &'a str,
    pub(crate) scopes: &'a [&'a str],
}

/// A form that posts to the same address, query included, with `user` and `decision` (`approve` or `refuse`).
pub(crate) fn consent(form: &ConsentForm<'_>) -> String {
    let app_id = escape(form.app_id);
    let scopes: String = form
        .scopes
        .iter()
        .map(|scope| format!("<li><code>{}</code></li>\n", escape(scope)))
        .collect();
    let asks = match scopes.is_empty() {
        true => "<p>It asks for no scope.</p>".to_owned(),
        false => format!("<p>It asks for:</p>\n<ul id=\"scopes\">\n{scopes}</ul>"),
    };
    let main = format!(
        r#"<h1>Log in</h1>
<p>The app <code id="app-id">{app_id}</code> wants to act for you.</p>
{asks}
<form method="post">
<p><label for="user">Number of the user in the directory</label>
<input id="user" name="user" type="number" min="1" value="1" required></p>
<p><button id="approve" name="decision" value="approve">Approve</button>
<button id="refuse" name="decision" value="refuse" formnovalidate>Refuse</button></p>
</form>"#
    );
    document("Log in", &main)
}

/// The page of a failed login.
pub(crate) fn failure(code: i64, description: &str, log_id: &str) -> String {
    let main = format!(
        r#"<h1>The login is not possible</h1>
<p id="description">{}</p>
<p>Error code <code id="code">{code}</code>, log id <code id="log-id">{}</code></p>"#,
        escape(description),
        escape(log_id)
    );
    document("The login is not possible", &main)
}

fn document(title: &str, main: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title} - Lark simulator</title>
<link rel="icon" href="data:,">
</head>
<body>
<main>
{main}
</main>
</body>
</html>
"#
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
