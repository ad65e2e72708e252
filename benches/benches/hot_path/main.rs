//! Cost of a request, layer by layer and in all, each beside its baseline in one process.
//!
//! One program, as what it takes to build is mostly the same for all; a name selects:
//! `cargo bench --bench hot_path -- match`.

mod budget;
mod choice;
mod clock;
mod layers;
mod matching;
mod policy;
mod stack;

use criterion::{criterion_group, criterion_main};

// The budget comes last: its baseline stops tokio's clock, which slows down every later reading.
criterion_group! {
    name = benches;
    config = clock::processor();
    targets = matching::matching, layers::layers, choice::choice, stack::stack, budget::budget
}
criterion_main!(benches);
