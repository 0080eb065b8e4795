//! Whether two bootstrap strings mean one cluster.
//!
//! A bootstrap string names at most three brokers, chosen and ordered at random (handbook msk.md §6). So brokers are compared
//! without their number: `b-3.orders.a1b2c3.c5.kafka.eu-west-1.amazonaws.com:9098` is any broker of that cluster at that listener.

use std::collections::BTreeSet;

/// True if both name brokers of one cluster at one listener, or the same servers in any order.
pub(super) fn same_cluster(a: &str, b: &str) -> bool {
    let (a, b) = (clusters(a), clusters(b));
    !a.is_empty() && a == b
}

fn clusters(servers: &str) -> BTreeSet<String> {
    servers.split(',').map(str::trim).filter(|s| !s.is_empty()).map(any_broker).collect()
}

/// The server with `b-*` for `b-<n>`, and with `:14*` for the ports of multi-VPC listeners, which carry the broker's number.
fn any_broker(server: &str) -> String {
    let (host, port) = server.rsplit_once(':').unwrap_or((server, ""));
    let port = match port.parse::<u16>() {
        Ok(14001..=14100) => "14*",
        _ => port,
    };
    let (first, rest) = host.split_once('.').unwrap_or((host, ""));
    let number = first.strip_prefix("b-").map(|n| n.strip_suffix("-public").unwrap_or(n));
    match number {
        Some(n) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => {
            let public = if first.ends_with("-public") { "-public" } else { "" };
            format!("b-*{public}.{rest}:{port}")
        }
        _ => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_of_one_cluster_are_one() {
        let host =
            |n: u8, port: u16| format!("b-{n}.orders.a1.c5.kafka.eu-west-1.amazonaws.com:{port}");
        let list =
            |brokers: &[u8]| brokers.iter().map(|n| host(*n, 9098)).collect::<Vec<_>>().join(",");
        assert!(same_cluster(&list(&[1, 2, 3]), &list(&[6, 4, 5])));
        assert!(!same_cluster(&list(&[1, 2, 3]), &host(1, 9092)), "another listener");
        assert!(!same_cluster(&host(1, 9098), &host(1, 9098).replace("orders", "other")));
        let vpc = |n: u8| format!("b-{n}.iam.orders.a1.c5.kafka.eu-west-1.amazonaws.com:1400{n}");
        assert!(same_cluster(&vpc(1), &vpc(2)));
        assert!(!same_cluster(&host(1, 9198).replace("b-1.", "b-1-public."), &host(1, 9198)));
    }

    #[test]
    fn other_servers_are_compared_as_they_are() {
        assert!(same_cluster("k1:9092,k2:9092", "k2:9092, k1:9092"));
        assert!(!same_cluster("k1:9092", "k2:9092"));
        assert!(!same_cluster("", ""));
    }
}
