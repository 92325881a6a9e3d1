//! Kubernetes quantities, as far as comparing needs them: the API server may answer `500m` where `0.5` was set.

/// Whether the text is a quantity of at least zero.
pub(crate) fn is_quantity(text: &str) -> bool {
    nanos(text).is_some()
}

/// Whether both are quantities and the first is not more than the second.
pub(crate) fn at_most(first: &str, second: &str) -> bool {
    matches!((nanos(first), nanos(second)), (Some(first), Some(second)) if first <= second)
}

/// Whether both are quantities of the same amount.
pub(crate) fn same(first: &str, second: &str) -> bool {
    matches!((nanos(first), nanos(second)), (Some(first), Some(second)) if first == second)
}

/// The amount in billionths, rounded up as Kubernetes does; `None` where it is none or far too large.
fn nanos(text: &str) -> Option<u128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || number.len() > 30 || fraction.contains('.') {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let (multiplier, exponent) = unit(suffix)?;
    let shift = exponent + 9 - i32::try_from(fraction.len()).ok()?;
    let amount = digits.checked_mul(multiplier)?;
    let power = 10_u128.checked_pow(shift.unsigned_abs())?;
    if shift >= 0 { amount.checked_mul(power) } else { Some(amount.div_ceil(power)) }
}

/// A suffix as a factor and a power of ten.
fn unit(suffix: &str) -> Option<(u128, i32)> {
    let decimal = |exponent| Some((1, exponent));
    let binary = |power: u32| Some((1_u128 << (10 * power), 0));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?;
            (-9..=18).contains(&exponent).then_some((1, exponent))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{at_most, is_quantity, same};

    #[test]
    fn equal_amounts_are_equal_however_they_are_written() {
        for (a, b) in [
            ("0.5", "500m"),
            ("1", "1000m"),
            ("1Gi", "1024Mi"),
            ("0.25Gi", "256Mi"),
            ("1e3", "1k"),
            ("1E3", "1000"),
            (".5", "0.50"),
            ("1.", "1"),
            ("100n", "0.1u"),
            ("0", "0m"),
            ("1000n", "1u"),
            ("1000u", "1m"),
            ("1k", "1000"),
            ("1M", "1000k"),
            ("1G", "1000M"),
            ("1T", "1000G"),
            ("1P", "1000T"),
            ("1E", "1000P"),
            ("1Ki", "1024"),
            ("1Mi", "1024Ki"),
            ("1Ti", "1024Gi"),
            ("1Pi", "1024Ti"),
            ("5Ei", "5120Pi"),
            (&format!("{:030}", 7), "7"),
        ] {
            assert!(same(a, b), "{a} {b}");
        }
        for (a, b) in [("1", "2"), ("1M", "1Mi"), ("500m", "500"), ("x", "x"), ("", "")] {
            assert!(!same(a, b), "{a} {b}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for bad in
            ["", ".", "m", "-1", "1 Gi", "1gi", "1.2.3", "1e99", "1e", "1é", &"9".repeat(40), &"0".repeat(31)]
        {
            assert!(!is_quantity(bad), "{bad}");
        }
        assert!(at_most("100m", "1") && at_most("1Mi", "1Mi") && !at_most("2", "1") && !at_most("x", "1"));
    }
}
