//! The votes so far.

use crate::{
    catalogue::{CATALOGUE, Entry},
    messages::VotingResult,
};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Counts votes, for as long as the program runs.
#[derive(Debug, Default)]
pub(super) struct Poll(Mutex<HashMap<&'static str, i32>>);

impl Poll {
    pub(super) fn vote(&self, entry: &Entry) {
        let mut votes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = votes.entry(entry.shortcode).or_default();
        *count = count.saturating_add(1);
    }

    /// Returns the emoji with votes: most votes first, then in the order of the ballot.
    pub(super) fn results(&self) -> Vec<VotingResult> {
        let votes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = CATALOGUE.iter().filter_map(|entry| {
            Some(VotingResult {
                shortcode: entry.shortcode.to_owned(),
                votes: *votes.get(entry.shortcode)?,
            })
        });
        let mut results: Vec<_> = counted.collect();
        results.sort_by_key(|result| std::cmp::Reverse(result.votes));
        results
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_votes_come_first() {
        let poll = Poll::default();
        for index in [3, 7, 7, 5] {
            poll.vote(&CATALOGUE[index]);
        }
        let results = poll.results().into_iter();
        let results: Vec<_> = results.map(|it| (it.shortcode, it.votes)).collect();
        let expected = [(7, 2), (3, 1), (5, 1)];
        assert_eq!(
            results,
            expected
                .map(|(index, votes): (usize, _)| (CATALOGUE[index].shortcode.to_owned(), votes))
        );
    }
}
