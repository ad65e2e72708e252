use crate::index::Endpoints;
use linkerd2_proxy_api::destination::{
    AddrSet, NoEndpoints, Update, WeightedAddrSet, update::Update as Change,
};
use mesh_discover::{
    Endpoint,
    wire::{addr_to_wire, endpoint_to_wire},
};

/// The messages that take a client from `before` to `now`; `None` for a client that knows
/// nothing yet.
///
/// The updates that lead from one answer to the next. Additions come before removals, so that a
/// client always has an endpoint, even when all are replaced at once.
pub(super) fn between(before: Option<&Endpoints>, now: &Endpoints) -> Vec<Update> {
    if now.list.is_empty() {
        let is_same = before.is_some_and(|before| before == now);
        let none = Change::NoEndpoints(NoEndpoints { exists: now.exists });
        return if is_same {
            Vec::new()
        } else {
            vec![update(none)]
        };
    }
    let before = before.map_or(&[][..], |before| &before.list);
    let added: Vec<_> = now
        .list
        .iter()
        .filter(|now| !before.contains(now))
        .collect();
    let has_addr = |list: &[Endpoint], addr| list.iter().any(|endpoint| endpoint.addr == addr);
    let removed: Vec<_> = before
        .iter()
        .map(|before| before.addr)
        .filter(|addr| !has_addr(&now.list, *addr))
        .collect();

    let mut updates = Vec::new();
    if !added.is_empty() {
        updates.push(update(Change::Add(WeightedAddrSet {
            addrs: added.into_iter().map(endpoint_to_wire).collect(),
            ..WeightedAddrSet::default()
        })));
    }
    if !removed.is_empty() {
        let addrs = removed.into_iter().map(addr_to_wire).collect();
        updates.push(update(Change::Remove(AddrSet { addrs })));
    }
    updates
}

fn update(kind: Change) -> Update {
    Update { update: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(ports: &[u16]) -> Endpoints {
        let endpoint = |port: &u16| Endpoint::new(([127, 0, 0, 1], *port).into());
        Endpoints {
            exists: true,
            list: ports.iter().map(endpoint).collect(),
        }
    }

    /// `+` and `-` with ports, or `none`.
    fn told(before: Option<&Endpoints>, now: &Endpoints) -> Vec<String> {
        between(before, now)
            .into_iter()
            .map(|update| match update.update.unwrap() {
                Change::Add(set) => {
                    let ports = set.addrs.iter().map(|addr| addr.addr.unwrap().port);
                    format!("+{:?}", ports.collect::<Vec<_>>())
                }
                Change::Remove(set) => {
                    let ports = set.addrs.iter().map(|addr| addr.port);
                    format!("-{:?}", ports.collect::<Vec<_>>())
                }
                Change::NoEndpoints(none) => format!("none, exists: {}", none.exists),
            })
            .collect()
    }

    #[test]
    fn a_client_is_told_what_it_does_not_know() {
        let none = endpoints(&[]);
        let gone = Endpoints::default();
        let (a, ab, c) = (endpoints(&[1]), endpoints(&[1, 2]), endpoints(&[3]));
        assert_eq!(told(None, &ab), ["+[1, 2]"]);
        assert_eq!(told(None, &none), ["none, exists: true"]);
        assert_eq!(told(None, &gone), ["none, exists: false"]);
        assert_eq!(told(Some(&a), &ab), ["+[2]"]);
        assert_eq!(told(Some(&ab), &a), ["-[2]"]);
        assert_eq!(told(Some(&ab), &c), ["+[3]", "-[1, 2]"]);
        assert_eq!(told(Some(&a), &none), ["none, exists: true"]);
        assert_eq!(told(Some(&none), &gone), ["none, exists: false"]);
        assert_eq!(told(Some(&gone), &a), ["+[1]"]);
        assert!(told(Some(&ab), &ab).is_empty());
        assert!(told(Some(&gone), &gone).is_empty());
    }

    #[test]
    fn an_endpoint_whose_labels_changed_is_told_again() {
        let before = endpoints(&[1]);
        let mut now = before.clone();
        let pod = [("pod".to_owned(), "a".to_owned())];
        let labelled = now.list[0]
            .clone()
            .with_labels(std::collections::BTreeMap::from(pod));
        now.list = [labelled].into();
        assert_eq!(told(Some(&before), &now), ["+[1]"]);
    }
}
