//! Two words and a number, for those who do not care what it is called.
use crate::base::secret::fill_random;

const FIRST: &[&str] = &[
    "amber", "autumn", "bold", "brave", "bright", "brisk", "calm", "cheery", "clear", "clever", "cosy", "crisp",
    "dapper", "early", "easy", "fancy", "fleet", "fond", "fresh", "gentle", "glad", "golden", "grand", "happy",
    "hardy", "honest", "humble", "jolly", "keen", "kind", "lively", "lucky", "mellow", "merry", "mild", "misty",
    "modest", "neat", "nimble", "noble", "patient", "plain", "polite", "proud", "quick", "quiet", "rapid", "ready",
    "rosy", "royal", "shiny", "silent", "silver", "simple", "sleek", "snowy", "solid", "steep", "sunny", "swift",
    "tidy", "vivid", "warm", "witty",
];
const SECOND: &[&str] = &[
    "acorn", "alder", "badger", "beacon", "birch", "brook", "canyon", "cedar", "cloud", "comet", "coral", "cove",
    "crane", "creek", "dune", "ember", "falcon", "fern", "finch", "fjord", "forest", "fox", "garden", "glade", "grove",
    "harbor", "hazel", "heron", "hill", "island", "ivy", "juniper", "lake", "lark", "lagoon", "maple", "marsh",
    "meadow", "moon", "moss", "oak", "ocean", "orchid", "otter", "owl", "pebble", "pine", "pond", "poplar", "rain",
    "raven", "reef", "ridge", "river", "robin", "sparrow", "spring", "stone", "thicket", "tulip", "valley", "willow",
    "wren", "yarrow",
];

/// `sunny-otter-4821`
pub(super) fn generate() -> String {
    let mut r = [0u8; 4];
    fill_random(&mut r);
    let number = u16::from_be_bytes([r[2], r[3]]) % 9000 + 1000;
    format!("{}-{}-{number}", FIRST[usize::from(r[0]) % FIRST.len()], SECOND[usize::from(r[1]) % SECOND.len()])
}

#[cfg(test)]
mod tests {
    use crate::base::{AppName, ProjectName};

    #[test]
    fn every_generated_name_is_valid() {
        for first in super::FIRST {
            for second in super::SECOND {
                let name = format!("{first}-{second}-1234");
                assert!(AppName::parse(&name).is_ok() && ProjectName::parse(&name).is_ok(), "{name}");
            }
        }
    }
}
