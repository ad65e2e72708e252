//! The sequential test beside the threshold rule, over many seeds: 200 requests a second, 5 % of
//! them to the canary.
//!
//! `MESH_CANARY_SEEDS` says how many seeds, by default 1,000; `cargo xtask test sequential`
//! prints the figures that are in the README.

use mesh_canary::sequential::{Counts, Test, Verdict};

const CANARY: u64 = 10;
const PRIMARY: u64 = 190;

/// Long enough for twenty checks of half a minute.
const SECONDS: u32 = 600;

/// A generator of random numbers (SplitMix64): the same for a seed everywhere.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A binomial distribution as a table of its sums.
struct Binomial(Vec<f64>);

impl Binomial {
    fn new(n: u64, p: f64) -> Self {
        let mut sums = Vec::new();
        let (mut pmf, mut sum) = ((1.0 - p).powi(n as i32), 0.0);
        for k in 0..=n {
            sum += pmf;
            sums.push(sum);
            pmf *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
        }
        Self(sums)
    }

    fn draw(&self, random: &mut Random) -> u64 {
        let unit = random.unit();
        let drawn = self.0.iter().position(|sum| unit < *sum);
        drawn.unwrap_or(self.0.len() - 1) as u64
    }
}

/// Both rules over the same requests.
struct World {
    primary: Binomial,
    canary: Binomial,
}

/// The seconds after which each rule rolls back, if it does.
struct Found {
    sequential: Option<u32>,
    threshold: Option<u32>,
}

/// The rule of the workshop's Canary: a check every 30 s, 99 % success, 5 failed checks.
const CHECK: u32 = 30;
const SUCCESS: f64 = 99.0;
const FAILED: u32 = 5;

impl World {
    fn new(primary: f64, canary: f64) -> Self {
        Self {
            primary: Binomial::new(PRIMARY, primary),
            canary: Binomial::new(CANARY, canary),
        }
    }

    fn run(&self, seed: u64) -> Found {
        let mut random = Random(seed.wrapping_mul(0xd134_2543_de82_ef95) ^ 0x5eed);
        let (mut test, mut window, mut failed) = (Test::new(), Counts::default(), 0);
        let mut found = Found {
            sequential: None,
            threshold: None,
        };
        for second in 1..=SECONDS {
            let block = Counts {
                canary_requests: CANARY,
                canary_failures: self.canary.draw(&mut random),
                primary_requests: PRIMARY,
                primary_failures: self.primary.draw(&mut random),
            };
            if test.observe(block) == Verdict::Worse && found.sequential.is_none() {
                found.sequential = Some(second);
            }
            window.canary_requests += block.canary_requests;
            window.canary_failures += block.canary_failures;
            if second % CHECK == 0 {
                failed += u32::from(window.canary_success() < Some(SUCCESS));
                window = Counts::default();
                if failed >= FAILED && found.threshold.is_none() {
                    found.threshold = Some(second);
                }
            }
        }
        found
    }

    fn all(&self) -> Vec<Found> {
        (0..seeds()).map(|seed| self.run(seed)).collect()
    }
}

fn seeds() -> u64 {
    let text = std::env::var("MESH_CANARY_SEEDS").ok();
    text.map_or(1_000, |text| {
        text.parse().expect("MESH_CANARY_SEEDS is a number")
    })
}

fn share(found: &[Found], is: impl Fn(&Found) -> bool) -> f64 {
    found.iter().filter(|found| is(found)).count() as f64 / found.len() as f64
}

fn median(found: &[Found], time: impl Fn(&Found) -> Option<u32>) -> Option<u32> {
    let mut times: Vec<_> = found.iter().map(|f| time(f).unwrap_or(u32::MAX)).collect();
    times.sort_unstable();
    let median = times[times.len() / 2];
    (median < u32::MAX).then_some(median)
}

fn seconds(time: Option<u32>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("{time} s"))
}

#[test]
fn a_canary_as_good_as_the_primary_is_not_rolled_back() {
    for base in [0.0, 0.01, 0.05] {
        let found = World::new(base, base).all();
        let ours = share(&found, |found| found.sequential.is_some());
        let theirs = share(&found, |found| found.threshold.is_some());
        println!(
            "both fail {:.0} %: rolled back falsely within {SECONDS} s: sequential {:.1} %, \
             threshold {:.1} %",
            base * 100.0,
            ours * 100.0,
            theirs * 100.0,
        );
        assert!(ours <= 0.01, "{ours}");
        // The comparison means something: the threshold cannot tell a base rate from a fault.
        assert_eq!(theirs > 0.5, base > 0.0);
    }
}

#[test]
fn a_canary_that_fails_twice_as_often_is_found_within_a_minute() {
    let found = World::new(0.05, 0.10).all();
    let within = |time: Option<u32>| time.is_some_and(|time| time <= 60);
    let ours = share(&found, |found| within(found.sequential));
    let theirs = share(&found, |found| within(found.threshold));
    println!(
        "5 % and 10 %: found within 60 s: sequential {:.1} %, threshold {:.1} %; median: \
         sequential {}, threshold {}",
        ours * 100.0,
        theirs * 100.0,
        seconds(median(&found, |found| found.sequential)),
        seconds(median(&found, |found| found.threshold)),
    );
    assert!(ours >= 0.95, "{ours}");
}

#[test]
fn a_small_change_is_found_in_minutes() {
    let found = World::new(0.01, 0.02).all();
    let ours = median(&found, |found| found.sequential);
    let theirs = median(&found, |found| found.threshold);
    println!(
        "1 % and 2 %: median time: sequential {}, threshold {}",
        seconds(ours),
        seconds(theirs),
    );
    assert!(ours.is_some_and(|time| time <= 300), "{ours:?}");
}
