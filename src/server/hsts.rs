//! HSTS: browsers are told to come back by https only. In stages, because what they were told once cannot be taken back.
use std::fs;

use hyper::HeaderMap;
use hyper::header::{HeaderValue, STRICT_TRANSPORT_SECURITY};

use crate::base::fs::{make_dir, write_atomic};
use crate::base::{Clock, DataDir, Millis, Result, ResultExt as _};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// From this age on (seconds), what browsers are told (seconds).
const STAGES: [(i64, i64); 4] = [(0, 300), (DAY, DAY), (7 * DAY, 7 * DAY), (28 * DAY, 365 * DAY)];
/// A domain that is not ours may leave any day.
const FOREIGN: i64 = 7 * DAY;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Hsts {
    since: Millis,
    clock: Clock,
}

impl Hsts {
    /// The first start with it is remembered in the data folder.
    pub(super) fn open(dir: &DataDir, clock: Clock) -> Result<Self> {
        make_dir(&dir.tls(), 0o711).internal("while making the folder of certificates")?;
        let file = dir.tls().join("https-since");
        let known = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<Millis>().ok());
        let since = match known {
            Some(since) => since,
            None => {
                let now = clock.now();
                write_atomic(&file, now.to_string().as_bytes(), 0o644).internal("while noting the first use of TLS")?;
                now
            }
        };
        Ok(Self { since, clock })
    }

    /// What an app says of itself stays.
    pub(super) fn add(&self, headers: &mut HeaderMap, foreign: bool) {
        if headers.contains_key(STRICT_TRANSPORT_SECURITY) {
            return;
        }
        let seconds = stage((self.clock.now() - self.since) / 1000);
        let seconds = if foreign { seconds.min(FOREIGN) } else { seconds };
        if let Ok(value) = HeaderValue::from_str(&format!("max-age={seconds}")) {
            headers.insert(STRICT_TRANSPORT_SECURITY, value);
        }
    }
}

fn stage(age: i64) -> i64 {
    STAGES.iter().rev().find(|(from, _)| age >= *from).map_or(STAGES[0].1, |(_, told)| *told)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_grows_with_age_and_never_goes_over_an_apps_own() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        let clock = Clock::manual(1_800_000_000_000);
        let told = |foreign| {
            let mut headers = HeaderMap::new();
            // Opened each time: a restart forgets nothing.
            Hsts::open(&dir, clock.clone()).unwrap().add(&mut headers, foreign);
            headers[STRICT_TRANSPORT_SECURITY].to_str().unwrap().to_owned()
        };
        for (days, own, foreign) in [
            (0, "max-age=300", "max-age=300"),
            (1, "max-age=86400", "max-age=86400"),
            (6, "max-age=604800", "max-age=604800"),
            (21, "max-age=31536000", "max-age=604800"),
        ] {
            clock.advance(Duration::from_secs(days * 86_400));
            assert_eq!((told(false).as_str(), told(true).as_str()), (own, foreign));
        }
        let mut headers = HeaderMap::new();
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=0"));
        Hsts::open(&dir, clock).unwrap().add(&mut headers, false);
        assert_eq!(headers[STRICT_TRANSPORT_SECURITY], "max-age=0");
        assert_eq!(stage(-5), 300, "a clock that was set back");
    }
}
