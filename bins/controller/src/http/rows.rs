//! Rows of the API, made of the numbers of statistics.

use mesh_api::{EdgeRow, Kind, Rate, RouteRow, RouteTable, StatRow, StatTable};
use mesh_control::stats::query::{
    Edge, KindTraffic, Latency, Meshed, ResourceRoutes, ResourceTraffic, Responses, RouteTraffic,
    SplitLeaf,
};
use std::time::Duration;

pub(super) fn stat_table(traffic: KindTraffic) -> StatTable {
    let kind = traffic.kind;
    let rows = traffic.resources.into_iter();
    StatTable {
        kind,
        rows: rows.map(|resource| stat_row(kind, resource)).collect(),
    }
}

fn stat_row(kind: Kind, resource: ResourceTraffic) -> StatRow {
    let tcp = resource.tcp;
    let (apex, leaf, weight) = match resource.leaf {
        Some(SplitLeaf { apex, leaf, weight }) => (Some(apex), Some(leaf), Some(weight)),
        None => (None, None, None),
    };
    StatRow {
        apex,
        leaf,
        weight,
        namespace: resource.namespace,
        kind: kind.name().to_owned(),
        name: resource.name,
        status: resource.status.map(str::to_owned),
        meshed: resource
            .meshed
            .map(|Meshed { with_sidecar, all }| format!("{with_sidecar}/{all}")),
        success: resource.responses.success(),
        rps: resource.responses.per_second(),
        latency: latency(resource.latency),
        tcp_open_connections: tcp.and_then(|tcp| tcp.open),
        tcp_read_bytes_rate: tcp.and_then(|tcp| tcp.read_per_second()),
        tcp_write_bytes_rate: tcp.and_then(|tcp| tcp.written_per_second()),
    }
}

pub(super) fn route_table(routes: ResourceRoutes) -> RouteTable {
    RouteTable {
        resource: routes.resource.to_string(),
        rows: routes.routes.into_iter().map(route_row).collect(),
    }
}

fn route_row(route: RouteTraffic) -> RouteRow {
    RouteRow {
        route: route.route,
        authority: route.authority,
        effective: rate(route.effective),
        actual: rate(route.actual),
        latency: latency(route.latency),
    }
}

pub(super) fn edge_row(edge: Edge) -> EdgeRow {
    EdgeRow {
        src: edge.src,
        src_namespace: edge.src_namespace,
        dst: edge.dst,
        dst_namespace: edge.dst_namespace,
        client_id: edge.client_id.unwrap_or_default(),
        server_id: edge.server_id.unwrap_or_default(),
        no_tls_reason: edge.no_tls_reason.unwrap_or_default(),
    }
}

pub(super) fn rate(responses: Responses) -> Rate {
    Rate {
        success: responses.success(),
        rps: responses.per_second(),
    }
}

/// Whole milliseconds, rounded.
pub(super) fn latency(latency: Option<Latency>) -> mesh_api::Latency {
    let millis = |quantile: fn(Latency) -> Duration| {
        latency.map(|latency| (quantile(latency).as_secs_f64() * 1_000.0).round() as u64)
    };
    mesh_api::Latency {
        latency_ms_p50: millis(|latency| latency.p50),
        latency_ms_p95: millis(|latency| latency.p95),
        latency_ms_p99: millis(|latency| latency.p99),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_rows_and_what_is_unknown_is_null() {
        let mut resource = ResourceTraffic {
            namespace: "shop".into(),
            name: "web".into(),
            leaf: None,
            status: None,
            meshed: Some(Meshed {
                with_sidecar: 1,
                all: 2,
            }),
            responses: Responses {
                successes: 3,
                failures: 1,
                over: Duration::from_secs(2),
            },
            latency: Some(Latency {
                p50: Duration::from_micros(2_500),
                p95: Duration::from_micros(3_499),
                p99: Duration::from_secs(1),
            }),
            tcp: None,
        };
        let row = stat_row(Kind::Deployment, resource.clone());
        assert_eq!(row.kind, "deployment");
        assert_eq!(row.meshed.as_deref(), Some("1/2"));
        assert_eq!((row.success, row.rps), (Some(0.75), Some(2.0)));
        assert_eq!(row.latency.latency_ms_p50, Some(3));
        assert_eq!(row.latency.latency_ms_p95, Some(3));
        assert_eq!(row.latency.latency_ms_p99, Some(1_000));
        assert_eq!(row.tcp_open_connections, None);

        resource.responses = Responses::default();
        resource.latency = None;
        let row = stat_row(Kind::Deployment, resource);
        assert_eq!((row.success, row.rps), (None, None));
        assert_eq!(row.latency, mesh_api::Latency::default());
    }
}
