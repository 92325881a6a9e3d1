//! Figures: what was measured, and what it may be at most.

use std::fmt::Write;

use serde_json::{Value, json};

/// What a figure may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// This.
    Exactly(f64),
    /// It explains another figure.
    Told,
}

/// One measured figure.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    bench: &'static str,
    what: String,
    unit: &'static str,
    limit: Limit,
    measured: f64,
}

impl Figure {
    /// Whether it is as it should be; `None` where nothing is asked of it.
    fn holds(&self) -> Option<bool> {
        match self.limit {
            Limit::AtMost(limit) => Some(self.measured <= limit),
            Limit::AtLeast(limit) => Some(self.measured >= limit),
            Limit::Exactly(limit) => Some((self.measured - limit).abs() < f64::EPSILON),
            Limit::Told => None,
        }
    }

    fn verdict(&self) -> &'static str {
        match self.holds() {
            Some(true) => "ok",
            Some(false) => "missed",
            None => "",
        }
    }

    fn limit(&self) -> String {
        match self.limit {
            Limit::AtMost(limit) => format!("<= {}", number(limit)),
            Limit::AtLeast(limit) => format!(">= {}", number(limit)),
            Limit::Exactly(limit) => number(limit),
            Limit::Told => String::new(),
        }
    }
}

/// Everything that one run measured.
#[derive(Debug, Default)]
pub(super) struct Figures {
    all: Vec<Figure>,
    bench: &'static str,
}

impl Figures {
    /// What follows belongs to this bench.
    pub(super) fn begin(&mut self, bench: &'static str) {
        self.bench = bench;
    }

    /// Notes a figure, and says it.
    pub(super) fn note(&mut self, what: impl Into<String>, unit: &'static str, limit: Limit, measured: f64) {
        let figure = Figure { bench: self.bench, what: what.into(), unit, limit, measured };
        crate::say::say(
            format!("{}: {} = {} {unit} {}", figure.bench, figure.what, number(measured), figure.verdict())
                .trim_end(),
        );
        self.all.push(figure);
    }

    /// How many are not as they should be.
    pub(super) fn missed(&self) -> usize {
        self.all.iter().filter(|figure| figure.holds() == Some(false)).count()
    }

    /// A table in Markdown.
    pub(super) fn table(&self) -> String {
        let mut rows = vec![["bench", "figure", "limit", "measured", ""].map(str::to_owned)];
        for figure in &self.all {
            let measured = format!("{} {}", number(figure.measured), figure.unit);
            rows.push([
                figure.bench.to_owned(),
                figure.what.clone(),
                figure.limit(),
                measured.trim_end().to_owned(),
                figure.verdict().to_owned(),
            ]);
        }
        let widths: [usize; 5] = std::array::from_fn(|column| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        let mut text = String::new();
        for (index, row) in rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(widths) {
                let _ = write!(text, "| {cell:width$} ");
            }
            text.push_str("|\n");
            if index == 0 {
                let _ = writeln!(text, "|{}|", widths.map(|width| "-".repeat(width + 2)).join("|"));
            }
        }
        text
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let one = |figure: &Figure| {
            let limit = match figure.limit {
                Limit::AtMost(limit) => json!({"atMost": limit}),
                Limit::AtLeast(limit) => json!({"atLeast": limit}),
                Limit::Exactly(limit) => json!({"exactly": limit}),
                Limit::Told => Value::Null,
            };
            let Figure { bench, what, unit, limit: _, measured } = figure;
            json!({"bench": bench, "figure": what, "unit": unit, "limit": limit, "measured": measured, "ok": figure.holds()})
        };
        self.all.iter().map(one).collect()
    }
}

/// As many digits as tell something.
fn number(value: f64) -> String {
    if value.fract().abs() < 1e-9 || value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}

/// The value below which this share of all values is (nearest rank); 0 where there is none.
pub(super) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let mut values: Vec<f64> = (1..=50).rev().map(f64::from).collect();
        assert_eq!([0.5, 0.99, 1.0].map(|share| percentile(&mut values, share)), [25.0, 50.0, 50.0]);
        assert_eq!(percentile(&mut [], 0.5), 0.0);
    }

    #[test]
    fn what_is_over_its_limit_is_missed() {
        let mut figures = Figures::default();
        figures.begin("x");
        figures.note("a", "ms", Limit::AtMost(1.0), 2.0);
        figures.note("b", "", Limit::Exactly(0.0), 0.0);
        figures.note("c", "", Limit::Told, 7.0);
        assert_eq!(figures.missed(), 1);
        let table = figures.table();
        assert!(table.contains("| <= 1  | 2 ms     | missed |"), "{table}");
        assert_eq!(figures.json()[1]["ok"], true);
        assert_eq!(figures.json()[2]["ok"], Value::Null);
    }
}
