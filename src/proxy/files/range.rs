//! `Range: bytes=…` (RFC 9110 section 14). Pure.

/// What part of a file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// `[start, end)`, never empty.
    Bytes {
        start: u64,
        end: u64,
    },
    /// There is nothing there: 416.
    Outside,
}

/// Several ranges, other units and nonsense count as no range at all, as the RFC allows.
pub fn part(header: Option<&str>, length: u64) -> Part {
    let Some((unit, range)) = header.and_then(|header| header.split_once('=')) else { return Part::Whole };
    let Some((first, last)) = range.trim().split_once('-') else { return Part::Whole };
    let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        // More digits than fit are simply beyond any end.
        true => Some(text.parse::<u64>().unwrap_or(u64::MAX)),
        false => None,
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Part::Whole;
    }
    match (number(first), number(last)) {
        (Some(first), None) if last.is_empty() => bytes(first, length, length),
        (Some(first), Some(last)) if first <= last => bytes(first, last.saturating_add(1).min(length), length),
        (None, Some(count)) if first.is_empty() => match count.min(length) {
            0 => Part::Outside,
            count => bytes(length - count, length, length),
        },
        _ => Part::Whole,
    }
}

fn bytes(start: u64, end: u64, length: u64) -> Part {
    if start >= length { Part::Outside } else { Part::Bytes { start, end } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges() {
        let some = |start, end| Part::Bytes { start, end };
        for (header, expected) in [
            ("bytes=0-0", some(0, 1)),
            ("bytes=2-4", some(2, 5)),
            ("bytes=2-", some(2, 10)),
            ("bytes=-3", some(7, 10)),
            ("bytes=-30", some(0, 10)),
            ("Bytes=9-99999999999999999999999", some(9, 10)),
            ("bytes=10-", Part::Outside),
            ("bytes=99999999999999999999999-", Part::Outside),
            ("bytes=-0", Part::Outside),
            ("bytes=4-2", Part::Whole),
            ("bytes=1-2,4-5", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("bytes", Part::Whole),
        ] {
            assert_eq!(part(Some(header), 10), expected, "{header}");
        }
        assert_eq!(part(Some("bytes=0-"), 0), Part::Outside);
        assert_eq!(part(None, 10), Part::Whole);
    }

    proptest! {
        #[test]
        fn a_part_is_inside(header in "bytes=[0-9]{0,20}-[0-9]{0,20}", length in 0..1000u64) {
            if let Part::Bytes { start, end } = part(Some(&header), length) {
                prop_assert!(start < end && end <= length);
            }
        }
    }
}
