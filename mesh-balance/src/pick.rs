use crate::{
    endpoint::{Core, Endpoint, Record},
    load::{Nanos, START},
};
use fastrand::Rng;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, SeqCst},
    },
};

/// Random draws before all endpoints are searched for a usable one.
const DRAWS: usize = 8;

/// The least share of its full one that an endpoint has in its slow start.
const SLOW_START_FLOOR: f32 = 0.1;

/// An endpoint and what its request is to find out.
pub(crate) struct Choice<'a, S> {
    pub(crate) endpoint: &'a Endpoint<S>,
    /// Now, if the latency is to be a sample.
    pub(crate) since: Option<Nanos>,
    /// True if the request tests an ejected endpoint.
    pub(crate) probe: bool,
}

/// The cheaper of two drawn at random, avoiding those `tried`; none if there is none at all.
///
/// An ejected endpoint whose probe is due comes first. Endpoints that are ejected or were tried
/// are avoided as long as there are others: when all are ejected, all serve.
pub(crate) fn pick<'a, S>(
    core: &Core,
    endpoints: &'a [Endpoint<S>],
    tried: &[SocketAddr],
) -> Option<Choice<'a, S>> {
    if let [only] = endpoints {
        let record = &only.record;
        // With nothing to compare it to, its latency is not worth two clock readings each time.
        let since = (record.is_ejected() || record.load.is_sample_due()).then(|| core.arriving());
        return Some(Choice {
            endpoint: only,
            since,
            probe: since.is_some_and(|now| record.probe(now)),
        });
    }
    let now = core.arriving();
    let choice = |endpoint, probe| {
        Some(Choice {
            endpoint,
            since: Some(now),
            probe,
        })
    };
    // A retry wants an answer, and is not the one to find out whether there is one.
    if tried.is_empty()
        && core.next_probe.load(Relaxed) <= now
        && let Some(endpoint) = probe(core, endpoints, now)
    {
        return choice(endpoint, true);
    }
    let mut draw = core.random.draw();
    let serving = |record: &Record| !record.is_ejected();
    let untried = |record: &Record| !tried.contains(&record.addr);
    let endpoint = two(core, endpoints, now, &mut draw, |record| {
        serving(record) && untried(record)
    })
    .or_else(|| two(core, endpoints, now, &mut draw, serving))
    .or_else(|| two(core, endpoints, now, &mut draw, untried))
    .or_else(|| two(core, endpoints, now, &mut draw, |_| true))?;
    choice(endpoint, false)
}

fn probe<'a, S>(core: &Core, endpoints: &'a [Endpoint<S>], now: Nanos) -> Option<&'a Endpoint<S>> {
    // Taken first and lowered again by each that remains, so that an ejection meanwhile is not
    // lost.
    core.next_probe.store(Nanos::MAX, SeqCst);
    let mut due = None;
    for endpoint in endpoints {
        if due.is_none() && endpoint.record.probe(now) {
            due = Some(endpoint);
        } else if let Some(until) = endpoint.record.due() {
            core.next_probe.fetch_min(until, SeqCst);
        }
    }
    due
}

fn two<'a, S>(
    core: &Core,
    endpoints: &'a [Endpoint<S>],
    now: Nanos,
    draw: &mut Rng,
    fit: impl Fn(&Record) -> bool,
) -> Option<&'a Endpoint<S>> {
    let one = one(core, endpoints, now, draw, None, &fit)?;
    let Some(other) = self::one(core, endpoints, now, draw, Some(one), &fit) else {
        return Some(&endpoints[one]);
    };
    let [one, other] = [one, other].map(|position| &endpoints[position]);
    let cheaper = is_cheaper(&other.record, &one.record, now);
    Some(if cheaper { other } else { one })
}

fn is_cheaper(one: &Arc<Record>, other: &Arc<Record>, now: Nanos) -> bool {
    let in_flight = (Record::in_flight(one), Record::in_flight(other));
    let latency = (
        one.load.latency(now, in_flight.0),
        other.load.latency(now, in_flight.1),
    );
    // An endpoint without samples is assumed to be like the other.
    let known = latency.0.or(latency.1).unwrap_or(START.as_secs_f32());
    let (one, other) = (
        one.load.cost(now, latency.0.unwrap_or(known), in_flight.0),
        other
            .load
            .cost(now, latency.1.unwrap_or(known), in_flight.1),
    );
    one < other
}

/// A random endpoint that is fit, other than `except`.
fn one<S>(
    core: &Core,
    endpoints: &[Endpoint<S>],
    now: Nanos,
    draw: &mut Rng,
    except: Option<usize>,
    fit: impl Fn(&Record) -> bool,
) -> Option<usize> {
    let count = endpoints.len() - usize::from(except.is_some());
    if count == 0 || endpoints.is_empty() {
        return None;
    }
    let skip = |position| position + usize::from(except.is_some_and(|except| position >= except));
    for _ in 0..DRAWS {
        let position = skip(draw.usize(..count));
        let record = &endpoints[position].record;
        if fit(record) && admits(core, record, now, draw) {
            return Some(position);
        }
    }
    let start = draw.usize(..count);
    (0..count)
        .map(|step| skip((start + step) % count))
        .find(|&position| fit(&endpoints[position].record))
}

/// Lets an endpoint in its slow start through as often as befits its age.
fn admits(core: &Core, record: &Record, now: Nanos, draw: &mut Rng) -> bool {
    if !record.slow_start {
        return true;
    }
    let age = now.saturating_sub(record.joined) as f32;
    let share = age / core.config.slow_start.as_nanos() as f32;
    share >= 1.0 || draw.f32() < share.max(SLOW_START_FLOOR)
}
