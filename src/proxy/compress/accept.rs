//! What a client says it can read: `Accept-Encoding` (RFC 9110 section 12.5.3). Pure, takes no memory.

/// A way to write a body in fewer bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    /// The one that costs least for what it saves first: for bodies compressed while somebody waits.
    pub const FAST: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];
    /// The smallest first: for bodies compressed beforehand.
    pub const SMALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// As in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// What a file's name gets.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Zstd => "zst",
            Self::Brotli => "br",
            Self::Gzip => "gz",
        }
    }
}

/// The offered coding that these `Accept-Encoding` lines weigh most; of equal ones the first offered. `None` when
/// there is none, or when the client would rather have the plain body. `*` is not taken as a wish: what sends it
/// often means that it does not care, and cannot read every coding.
pub fn best<'a>(lines: impl Iterator<Item = &'a [u8]>, offered: &[Coding]) -> Option<Coding> {
    // Thousandths, by the place in `offered`; what is named twice counts as it was named first.
    let (mut plain, mut weights) = (None, [None; Coding::FAST.len()]);
    for item in lines.flat_map(|line| line.split(|b| *b == b',')) {
        let mut parts = item.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let weight = match name.eq_ignore_ascii_case(b"identity") {
            true => Some(&mut plain),
            false => {
                let place = offered.iter().position(|coding| name.eq_ignore_ascii_case(coding.name().as_bytes()));
                place.and_then(|place| weights.get_mut(place))
            }
        };
        if let Some(weight @ None) = weight {
            *weight = Some(parts.next().map_or(1000, |weight| thousandths(weight).unwrap_or(0)));
        }
    }
    let mut best: Option<(u16, Coding)> = None;
    for (coding, weight) in offered.iter().zip(weights) {
        let weight = weight.unwrap_or(0);
        if weight > best.map_or(0, |(most, _)| most) {
            best = Some((weight, *coding));
        }
    }
    best.filter(|(weight, _)| *weight >= plain.unwrap_or(0)).map(|(_, coding)| coding)
}

/// `q=0.25` → 250
fn thousandths(weight: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', rest @ ..] = weight else { return None };
    let [one @ (b'0' | b'1'), rest @ ..] = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start() else {
        return None;
    };
    let digits = match rest {
        [] => rest,
        [b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return None,
    };
    let places = [100, 10, 1];
    let part: u16 = digits.iter().zip(places).map(|(digit, place)| u16::from(digit - b'0') * place).sum();
    Some((u16::from(one - b'0') * 1000 + part).min(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chosen(line: &str) -> Option<Coding> {
        best(std::iter::once(line.as_bytes()), &Coding::FAST)
    }

    #[test]
    fn what_clients_say_and_get() {
        use Coding::{Brotli, Gzip, Zstd};
        for (line, expected) in [
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("gzip, deflate, br", Some(Brotli)),
            ("gzip, deflate", Some(Gzip)),
            ("gzip", Some(Gzip)),
            ("GZIP;q=0.5", Some(Gzip)),
            ("gzip;q=1, br;q=0.2, zstd;q=0.4", Some(Gzip)),
            ("gzip; q = 0.9 , br ; Q=0.91", Some(Brotli)),
            ("br;q=0", None),
            ("br;q=0.000, gzip;q=0.001", Some(Gzip)),
            ("br;q=1.000", Some(Brotli)),
            ("gzip;q=0.5, identity", None),
            ("identity;q=0.5, gzip;q=0.5", Some(Gzip)),
            ("identity;q=0, gzip", Some(Gzip)),
            ("br;q=nonsense", None),
            ("br;q=0.1234", None),
            ("br;q=2", None),
            ("brotli, gz", None),
            ("*", None),
            ("*;q=0, gzip", Some(Gzip)),
            ("deflate", None),
            ("", None),
            (",;,", None),
        ] {
            assert_eq!(chosen(line), expected, "{line:?}");
        }
        let lines = ["deflate", "br"].map(str::as_bytes);
        assert_eq!(best(lines.into_iter(), &Coding::SMALL), Some(Brotli), "over several lines");
    }

    proptest! {
        #[test]
        fn what_is_chosen_was_named(line in "[a-z0-9;=., *]{0,40}(gzip|br|zstd)?[;q=.0-9, ]{0,8}") {
            if let Some(coding) = chosen(&line) {
                prop_assert!(line.contains(coding.name()), "{line:?}");
            }
        }
    }
}
