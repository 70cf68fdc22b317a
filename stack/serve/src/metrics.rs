//! Numbers for Prometheus: its text format, version 0.0.4.

use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use std::fmt::{Display, Write as _};

/// The answer to `GET /metrics`.
#[must_use]
pub fn page(page: Page) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"))], page.into_text()).into_response()
}

/// The page as it grows. Writing into a String cannot fail.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// All of it.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }

    /// Declares a counter; its samples follow.
    pub fn counter(&mut self, name: &str, help: &str) {
        self.head(name, "counter", help);
    }

    /// Declares a gauge; its samples follow.
    pub fn gauge(&mut self, name: &str, help: &str) {
        self.head(name, "gauge", help);
    }

    /// Declares a summary; its samples follow: `name` with the label `quantile`, `name_sum` and `name_count`.
    pub fn summary(&mut self, name: &str, help: &str) {
        self.head(name, "summary", help);
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {}\n# TYPE {name} {kind}", help.replace('\\', "\\\\").replace('\n', " "));
    }

    /// A sample of what was declared last.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if index == 0 { '{' } else { ',' });
            for letter in text.chars() {
                match letter {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    _ => self.0.push(letter),
                }
            }
            self.0.push('"');
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_early() {
        let mut page = Page::default();
        page.sample("x", &[("a", "one\"two\\three\nfour")], 1);
        assert_eq!(page.into_text(), "x{a=\"one\\\"two\\\\three\\nfour\"} 1\n");
    }
}
