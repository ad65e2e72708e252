//! A sequential test: does the canary fail more often than the primary?
//!
//! A threshold asks about an interval, and asks again at the next: at a base rate near the
//! threshold, chance alone fails some check sooner or later. This test compares the two
//! revisions over the same time, and may be looked at after every request: the probability that it
//! ever says [`Verdict::Worse`] of a canary that is as good as the primary is at most
//! [`ALPHA`], however long it runs.
//!
//! The method is the E-variable for two Bernoulli streams in blocks of R. J. Turner, A. Ly and
//! P. D. Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for optional
//! stopping", Journal of Statistical Planning and Inference 230 (2024), arXiv:2106.02693; mixed
//! over alternatives as in H. Robbins, "Statistical methods related to the law of the iterated
//! logarithm", Annals of Mathematical Statistics 41 (1970); the bound is Ville's inequality (1939).
//!
//! For a block of `n` requests to the canary and `m` to the primary, an alternative of failure
//! rates `c > p` is fixed before the block. With `q = (n c + m p) / (n + m)`, the evidence is
//! multiplied by the likelihood of the block under `(c, p)` over that under `(q, q)`. If both fail
//! with one rate, the expected factor is at most 1 by the inequality of the means; if the canary
//! fails less often, it is smaller still, as `c >= q >= p`. The common rate may differ from block to
//! block, so what troubles both revisions at once is no evidence. Here `p` is estimated from the
//! blocks before, and `c` is `p` times each of [`RATIOS`], with weights that add up to 1.

/// The bound on the probability of a false [`Verdict::Worse`], over any time.
pub const ALPHA: f64 = 0.01;

/// Alternatives: the canary fails so many times as often as the primary; and their weights.
pub const RATIOS: [(f64, f64); 4] = [(1.7, 0.88), (3.0, 0.04), (8.0, 0.04), (40.0, 0.04)];

/// The highest failure rate of an alternative: one success must not refute it.
const MAX_RATE: f64 = 0.95;

/// Requests and failures of both revisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", default)
)]
pub struct Counts {
    /// Requests to the canary.
    pub canary_requests: u64,
    /// Those of them that failed.
    pub canary_failures: u64,
    /// Requests to the primary.
    pub primary_requests: u64,
    /// Those of them that failed.
    pub primary_failures: u64,
}

impl Counts {
    /// The canary's success rate in percent; none without requests.
    pub fn canary_success(&self) -> Option<f64> {
        success(self.canary_requests, self.canary_failures)
    }

    /// The primary's success rate in percent; none without requests.
    pub fn primary_success(&self) -> Option<f64> {
        success(self.primary_requests, self.primary_failures)
    }

    /// Failures beyond requests are taken for as many as there were.
    fn clamped(mut self) -> Self {
        self.canary_failures = self.canary_failures.min(self.canary_requests);
        self.primary_failures = self.primary_failures.min(self.primary_requests);
        self
    }
}

fn success(requests: u64, failures: u64) -> Option<f64> {
    let good = requests.saturating_sub(failures);
    (requests > 0).then(|| good as f64 * 100.0 / requests as f64)
}

/// Verdicts of a [`Test`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The canary fails more often than the primary.
    Worse,
    /// There is not enough evidence for that.
    Undecided,
}

/// The evidence so far. A few numbers, whatever the traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", default)
)]
pub struct Test {
    total: Counts,
    /// Logarithm of the evidence for each of [`RATIOS`].
    logs: [f64; RATIOS.len()],
    /// Evidence has been enough once, which it stays.
    worse: bool,
}

impl Test {
    /// No evidence yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the requests since the last call into account.
    ///
    /// When to call must not depend on the outcomes within the block: a fixed period is right.
    pub fn observe(&mut self, block: Counts) -> Verdict {
        let block = block.clamped();
        // A comparison needs both; what one did alone still tells of the rate to come.
        if block.canary_requests > 0 && block.primary_requests > 0 {
            let primary = self.primary_rate();
            for (log, (ratio, _)) in self.logs.iter_mut().zip(RATIOS) {
                *log += log_factor(primary, ratio, block);
            }
        }
        self.total.canary_requests += block.canary_requests;
        self.total.canary_failures += block.canary_failures;
        self.total.primary_requests += block.primary_requests;
        self.total.primary_failures += block.primary_failures;
        self.worse |= self.evidence() >= 1.0 / ALPHA;
        self.verdict()
    }

    /// The verdict so far; [`Verdict::Worse`] is final.
    pub fn verdict(&self) -> Verdict {
        match self.worse {
            true => Verdict::Worse,
            false => Verdict::Undecided,
        }
    }

    /// The evidence now: [`Verdict::Worse`] at 1 / [`ALPHA`].
    pub fn evidence(&self) -> f64 {
        let weighted = self.logs.iter().zip(RATIOS);
        weighted.map(|(log, (_, weight))| weight * log.exp()).sum()
    }

    /// All requests so far.
    pub fn counts(&self) -> &Counts {
        &self.total
    }

    /// The primary's failure rate as estimated from the blocks before, never 0.
    fn primary_rate(&self) -> f64 {
        // Half a failure in fifty requests before the first one: a guess that soon counts little.
        let (failures, requests) = (0.5, 50.0);
        let rate = (self.total.primary_failures as f64 + failures)
            / (self.total.primary_requests as f64 + requests);
        rate.min(MAX_RATE)
    }
}

fn log_factor(primary: f64, ratio: f64, block: Counts) -> f64 {
    let canary = (primary * ratio).min(MAX_RATE).max(primary);
    let (n, m) = (block.canary_requests as f64, block.primary_requests as f64);
    let common = (n * canary + m * primary) / (n + m);
    let log = |rate: f64, requests: u64, failures: u64| {
        let good = (requests - failures) as f64;
        failures as f64 * (rate / common).ln() + good * ((1.0 - rate) / (1.0 - common)).ln()
    };
    log(canary, block.canary_requests, block.canary_failures)
        + log(primary, block.primary_requests, block.primary_failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_the_alternatives_add_up_to_one() {
        let sum: f64 = RATIOS.iter().map(|(_, weight)| weight).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        assert!((Test::new().evidence() - 1.0).abs() < 1e-12);
    }

    /// The expected factor of a block, by enumeration: the law that the bound rests on.
    #[test]
    fn no_block_is_expected_to_add_evidence_against_a_canary_that_is_no_worse() {
        let choose = |n: u64, k: u64| (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
        let pmf = |n: u64, k: u64, p: f64| {
            choose(n, k) * p.powi(k as i32) * (1.0 - p).powi((n - k) as i32)
        };
        let (n, m) = (3, 8);
        for (ratio, _) in RATIOS {
            for estimate in [0.001, 0.05, 0.5] {
                for (canary, primary) in [(0.05, 0.05), (0.5, 0.5), (0.01, 0.2), (0.99, 0.99)] {
                    let mut expected = 0.0;
                    for (i, j) in (0..=n).flat_map(|i| (0..=m).map(move |j| (i, j))) {
                        let block = Counts {
                            canary_requests: n,
                            canary_failures: i,
                            primary_requests: m,
                            primary_failures: j,
                        };
                        expected += pmf(n, i, canary)
                            * pmf(m, j, primary)
                            * log_factor(estimate, ratio, block).exp();
                    }
                    assert!(expected <= 1.0 + 1e-9, "{ratio} {estimate}: {expected}");
                }
            }
        }
    }

    #[test]
    fn a_canary_that_fails_always_is_found_within_a_few_requests() {
        let mut test = Test::new();
        let block = Counts {
            canary_requests: 1,
            canary_failures: 1,
            primary_requests: 19,
            primary_failures: 0,
        };
        let found = (1..100).find(|_| test.observe(block) == Verdict::Worse);
        assert!(found.is_some_and(|after| after < 10), "{found:?}");
        assert_eq!(test.counts().primary_success(), Some(100.0));
        assert_eq!(test.counts().canary_success(), Some(0.0));
    }

    #[test]
    fn trouble_of_both_is_no_evidence() {
        let mut test = Test::new();
        for second in 0..600 {
            let half = second % 60 < 30;
            let block = Counts {
                canary_requests: 10,
                canary_failures: if half { 5 } else { 0 },
                primary_requests: 190,
                primary_failures: if half { 95 } else { 0 },
            };
            assert_eq!(test.observe(block), Verdict::Undecided);
        }
    }

    #[test]
    fn absurd_counts_are_no_evidence_and_no_panic() {
        let mut test = Test::new();
        for block in [
            Counts {
                canary_requests: 0,
                canary_failures: 9,
                primary_requests: 1,
                primary_failures: 9,
            },
            Counts {
                canary_requests: 5,
                ..Counts::default()
            },
            Counts::default(),
        ] {
            assert_eq!(test.observe(block), Verdict::Undecided);
        }
        assert!(test.evidence().is_finite());
    }
}
