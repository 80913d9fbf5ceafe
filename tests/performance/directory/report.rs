//! Markdown tables and statistics of samples.

use std::time::Duration;

/// Times of one thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    micros: Vec<f64>,
}

impl Samples {
    pub(crate) fn add(&mut self, took: Duration) {
        self.micros.push(took.as_secs_f64() * 1e6);
    }

    pub(crate) fn append(&mut self, other: &Self) {
        self.micros.extend_from_slice(&other.micros);
    }

    pub(crate) const fn len(&self) -> usize {
        self.micros.len()
    }

    /// The smallest time that so many percent do not exceed, in microseconds; zero without samples.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.micros.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len() * percent).div_ceil(100);
        let at = sorted.get(place.saturating_sub(1));
        at.copied().unwrap_or_default()
    }
}

/// Those of `times_us`.
impl FromIterator<u32> for Samples {
    fn from_iter<I: IntoIterator<Item = u32>>(times_us: I) -> Self {
        Self {
            micros: times_us.into_iter().map(f64::from).collect(),
        }
    }
}

/// The lowest and the highest of `numbers`.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// `0.71 (0.66 to 0.72)`: the median, the lowest and the highest.
pub(crate) fn spread(numbers: &[f64]) -> String {
    let lowest = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = numbers.iter().copied().fold(0.0, f64::max);
    format!("{:.2} ({lowest:.2} to {highest:.2})", median(numbers))
}

/// `one / other` for counts.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a benchmark are far below 2^52"
)]
pub(crate) fn ratio(one: u64, other: u64) -> f64 {
    one as f64 / other as f64
}

/// `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn heading(text: &str) {
    say(&format!("\n### {text}"));
}

/// A table with `head`, cells separated by `|`.
pub(crate) fn table(head: &str, rows: &[Vec<String>]) {
    let columns = head.split('|').count();
    say(&format!("\n| {} |", head.trim()));
    say(&format!("|{}", " --- |".repeat(columns)));
    for row in rows {
        say(&format!("| {} |", row.join(" | ")));
    }
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
