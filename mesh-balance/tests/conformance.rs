//! The contract of `Service`.

use mesh_balance::{Attempt, Balance, Config, Ejection};
use mesh_conformance::{Conformance, Mock};
use std::{net::SocketAddr, time::Duration};

fn balance(inner: &Mock, endpoints: u16, config: Config) -> Balance<Mock> {
    let balance = Balance::with(config);
    let addrs = (0..endpoints).map(|n| SocketAddr::from(([127, 0, 0, 1], 1 + n)));
    balance.handle().update(addrs, |_| inner.clone());
    balance
}

#[test]
fn a_balance_of_any_size_keeps_the_contract() {
    for endpoints in [1, 2, 10] {
        Conformance::new(|inner| balance(&inner, endpoints, Config::default()))
            .chooses_in_call()
            .check();
    }
}

#[test]
fn a_balance_that_ejects_at_once_keeps_the_contract() {
    let ejection = Ejection::default()
        .with_failures(1)
        .with_min(Duration::from_millis(1))
        .with_max(Duration::from_millis(1));
    let config = Config::default().with_ejection(ejection);
    Conformance::new(|inner| balance(&inner, 3, config.clone()))
        .chooses_in_call()
        .check();
}

#[test]
fn an_attempt_that_knows_where_others_went_keeps_the_contract() {
    Conformance::new(|inner| balance(&inner, 3, Config::default()))
        .prepare(|head| {
            let attempt = Attempt::first();
            attempt.note(SocketAddr::from(([127, 0, 0, 1], 1)));
            head.extensions.insert(attempt.next());
        })
        .chooses_in_call()
        .check();
}
