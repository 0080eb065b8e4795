//! What befalls a connector that runs: in its database, its topics and its role.

use std::time::Duration;

use serde_json::json;

use crate::clients::Replica;
use crate::configured::with;
use crate::failure::Failure;
use crate::lane::Lane;
use crate::stage::{Stage, until};

/// What befalls a connector that runs.
pub(crate) fn running(lane: &mut Lane<'_>) {
    let stage = lane.stage;
    let fails = |lane: &Lane<'_>, failure: &Failure, provoke: &dyn Fn()| {
        stage.fails(lane.name, &lane.good, failure, provoke);
    };
    let kills = |lane: &Lane<'_>, failure: &Failure, provoke: &dyn Fn()| {
        fails(lane, failure, provoke);
        lane.dies();
    };

    lane.begin_anew();
    kills(
        lane,
        &Failure::new(
            "DDL that can't be parsed",
            "CREATE TABLE with a PERIOD FOR clause",
            "C-HISTORY-DDL",
            "DDL statement couldn't be parsed",
        ),
        &|| {
            stage.sql(&stage.orders, "USE shop; CREATE TABLE log_entries (id INT PRIMARY KEY, at DATE, PERIOD FOR span(at, until), until DATE NOT NULL)");
        },
    );

    lane.begin_anew();
    // The connector has to be past the statement when it begins to capture the table: a row behind it, and the time to commit offsets.
    stage.sql(
        &stage.orders,
        "CREATE TABLE shop.items (id INT PRIMARY KEY); INSERT INTO shop.orders VALUES (50, 'later')",
    );
    std::thread::sleep(Duration::from_secs(4));
    lane.good = with(lane.good.clone(), &[("table.include.list", "shop.orders,shop.items")]);
    lane.mend();
    kills(
        lane,
        &Failure::new(
            "table schema unknown",
            "a table added to `table.include.list` whose DDL the history doesn't have, and a row in it",
            "C-HISTORY-TABLE",
            "whose schema isn't known to this connector",
        ),
        &|| {
            stage.sql(&stage.orders, "INSERT INTO shop.items VALUES (1)");
        },
    );

    lane.begin_anew();
    kills(
        lane,
        &Failure::new(
            "record too large",
            "a row of two million bytes",
            "C-KAFKA-TOO-LARGE",
            "RecordTooLargeException",
        ),
        &|| {
            stage.sql(&stage.orders, "INSERT INTO shop.orders VALUES (200, REPEAT('x', 2000000))");
        },
    );
    stage.sql(&stage.orders, "DELETE FROM shop.orders WHERE id = 200");

    lane.good = lane.fresh();
    let history = lane.good["schema.history.internal.kafka.topic"].as_str().unwrap_or_default();
    let history = history.to_owned();
    lane.mend();
    // Offsets are committed every second, the plane makes topics what they should be as often.
    std::thread::sleep(Duration::from_secs(3));
    stage.account.delete_topic(&stage.cluster, &history);
    std::thread::sleep(Duration::from_secs(3));
    kills(
        lane,
        &Failure::new(
            "schema history lost",
            "the history's topic deleted, and the connector restarted",
            "C-HISTORY-LOST",
            "db history topic",
        ),
        &|| {
            lane.ended(&lane.restart());
        },
    );

    lane.begin_anew();
    let switch = |method: &str, what: &str| {
        stage.account.switch_connector(&lane.arn, method, what);
    };
    switch("PUT", "pause");
    until(lane.name, &["PAUSED"], || stage.state(&lane.arn));
    purge(stage);
    switch("PUT", "resume");
    until(lane.name, &["RUNNING"], || stage.state(&lane.arn));
    fails(
        lane,
        &Failure::new(
            "position purged",
            "binary logs purged while the connector was paused, and a restart",
            "C-MYSQL-PURGED",
            "no longer available on the server",
        ),
        &|| {
            lane.ended(&lane.restart());
        },
    );

    lane.begin_anew();
    let mut twin = None;
    stage.fails(
        lane.name,
        &lane.good,
        &Failure::new(
            "duplicate server id",
            "another replica with the connector's `database.server.id`",
            "C-MYSQL-SERVER-ID",
            "same server_uuid/server_id",
        ),
        || twin = Some(Replica::new(stage, "906010")),
    );
    drop(twin);

    lane.begin_anew();
    let role = |action: &str| {
        let allow = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
        let deny = json!({ "Effect": "Deny", "Action": action, "Resource": "*" });
        stage.account.set_policy("connect", &json!([allow, deny]));
    };
    role("kafka-cluster:Connect");
    fails(
        lane,
        &Failure::new(
            "role may not connect to the cluster",
            "kafka-cluster:Connect taken from the role, and the connector restarted",
            "C-KAFKA-IAM",
            "]: Access denied",
        ),
        &|| {
            lane.ended(&lane.restart());
        },
    );
    role("none:None");
    lane.ended(&lane.restart());
}

/// Leaves only the newest binary log.
fn purge(stage: &Stage) {
    stage.administer(&stage.orders, "FLUSH BINARY LOGS; FLUSH BINARY LOGS");
    let newest = stage.newest_log(&stage.orders);
    stage.administer(&stage.orders, &format!("PURGE BINARY LOGS TO '{newest}'"));
}
