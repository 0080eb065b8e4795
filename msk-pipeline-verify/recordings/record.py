#!/usr/bin/env python3
"""Records what Kafka Connect, Debezium and their drivers write when something is wrong: the recordings that the tests of `cause` read.

    record.py LAB [NAME ...]
    record.py LAB --serve

LAB is a folder for jars, data and logs (downloads stay there). Needs Java 17, Maven, mariadbd and PostgreSQL; everything listens on the
loopback interface and ends with the script. With --serve it keeps a healthy pipeline of either kind running for the tests of the checks,
says `ready`, and ends when its standard input does. Each recording is `NAME.log` beside this file: a head of `# key: value` lines, then the
worker's log in the format of MSK Connect, without the frames of stack traces beyond the first ones and without dumps of configurations.
"""
import contextlib, glob, json, os, re, shutil, signal, socket, subprocess, sys, tarfile, time, urllib.error, urllib.request, zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
LAB = os.path.abspath(sys.argv[1])
WORKER = "Worker-0a1b2c3d4e5f60718"
DEBEZIUM = "2.7.4.Final"
PLAIN, SASL, TLS, REST, MYSQL, NOLOG, PG = 19092, 19093, 19094, 18083, 13306, 13307, 15432
ENV = {k: v for k, v in os.environ.items() if k != "JAVA_TOOL_OPTIONS"}
children = []


def run(*command, check=True, **options):
    return subprocess.run(command, check=check, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options).stdout


def spawn(name, *command, env=None, user=None):
    log = open(f"{LAB}/{name}.out", "w")
    child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env={**ENV, **(env or {})}, start_new_session=True, user=user)
    children.append(child)
    return child


def end(child):
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def until(what, limit=60, every=0.3):
    end_at = time.time() + limit
    while time.time() < end_at:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            if what():
                return True
        time.sleep(every)
    return False


def listening(port):
    with socket.create_connection(("127.0.0.1", port), 1):
        return True


# Jars

def download():
    if not glob.glob(f"{LAB}/libs/kafka_2.13-*.jar"):
        run("mvn", "-q", "-B", "-f", f"{HERE}/pom.xml", "dependency:copy-dependencies", f"-DoutputDirectory={LAB}/libs")
    for kind in ("mysql", "postgres"):
        archive = f"{LAB}/dl/debezium-connector-{kind}-{DEBEZIUM}-plugin.tar.gz"
        if not os.path.exists(archive):
            run("mvn", "-q", "-B", "dependency:copy", f"-Dartifact=io.debezium:debezium-connector-{kind}:{DEBEZIUM}:tar.gz:plugin", f"-DoutputDirectory={LAB}/dl")
        if not os.path.isdir(f"{LAB}/plugins/debezium-connector-{kind}"):
            with tarfile.open(archive) as tar:
                tar.extractall(f"{LAB}/plugins", filter="data")


def broken_plugins():
    """A plugin without a jar that it needs, and one whose classes are for a newer Java."""
    missing, newer = f"{LAB}/plugins-missing", f"{LAB}/plugins-newer"
    for folder in (missing, newer):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(f"{LAB}/plugins/debezium-connector-mysql", f"{folder}/debezium-connector-mysql")
    for jar in glob.glob(f"{missing}/*/mysql-binlog-connector-java-*.jar"):
        os.remove(jar)
    jar = glob.glob(f"{newer}/*/debezium-connector-mysql-*.jar")[0]
    with zipfile.ZipFile(jar) as old, zipfile.ZipFile(jar + ".new", "w") as new:
        for item in old.infolist():
            data = old.read(item)
            if item.filename.endswith(".class"):
                data = data[:6] + (65).to_bytes(2, "big") + data[8:]
            new.writestr(item, data)
    os.replace(jar + ".new", jar)


LOG4J = """log4j.rootLogger=INFO, file
log4j.appender.file=org.apache.log4j.FileAppender
log4j.appender.file.File={file}
log4j.appender.file.Append=true
log4j.appender.file.layout=org.apache.log4j.PatternLayout
log4j.appender.file.layout.ConversionPattern=[%d] %p %X{{connector.context}}%m (%c:%L)%n
"""


def java(name, main, *arguments, heap="512m", options=()):
    with open(f"{LAB}/{name}.log4j", "w") as file:
        file.write(LOG4J.format(file=f"{LAB}/{name}.log"))
    open(f"{LAB}/{name}.log", "w").close()
    return spawn(name, "java", f"-Xmx{heap}", *options, f"-Dlog4j.configuration=file:{LAB}/{name}.log4j", "-cp", f"{LAB}/libs/*", main, *arguments)


# Kafka

def keystore():
    if os.path.exists(f"{LAB}/broker.jks"):
        return
    common = ["-storepass", "changeit", "-keypass", "changeit"]
    run("keytool", "-genkeypair", "-alias", "broker", "-keyalg", "RSA", "-dname", "CN=localhost", "-ext", "san=dns:localhost,ip:127.0.0.1", "-validity", "3650", "-keystore", f"{LAB}/broker.jks", *common)
    run("keytool", "-exportcert", "-rfc", "-alias", "broker", "-keystore", f"{LAB}/broker.jks", "-file", f"{LAB}/broker.pem", *common)


JAAS = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="{}" password="{}";'


def kafka():
    keystore()
    shutil.rmtree(f"{LAB}/kafka", ignore_errors=True)
    users = "".join(f' user_{u}="{u}-secret"' for u in ("admin", "nothing", "topics", "nogroup", "nowrite"))
    properties = {
        "process.roles": "broker,controller", "node.id": 1, "controller.quorum.voters": "1@127.0.0.1:19090",
        "listeners": f"PLAINTEXT://127.0.0.1:{PLAIN},SASL_PLAINTEXT://127.0.0.1:{SASL},SSL://127.0.0.1:{TLS},CONTROLLER://127.0.0.1:19090",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER", "inter.broker.listener.name": "PLAINTEXT", "log.dirs": f"{LAB}/kafka",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": f'org.apache.kafka.common.security.plain.PlainLoginModule required{users};',
        "ssl.keystore.location": f"{LAB}/broker.jks", "ssl.keystore.password": "changeit", "ssl.key.password": "changeit",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users": "User:ANONYMOUS;User:admin",
        "offsets.topic.replication.factor": 1, "transaction.state.log.replication.factor": 1, "transaction.state.log.min.isr": 1,
        "auto.create.topics.enable": "false", "group.initial.rebalance.delay.ms": 0, "num.partitions": 1,
    }
    path = f"{LAB}/kafka.properties"
    with open(path, "w") as file:
        file.writelines(f"{k}={v}\n" for k, v in properties.items())
    run("java", "-cp", f"{LAB}/libs/*", "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", path, env=ENV)
    java("kafka-server", "kafka.Kafka", path)
    assert until(lambda: listening(PLAIN)), "Kafka does not listen"
    for user, kind, name, operation in [
        ("topics", "--topic", "*", "All"), ("topics", "--group", "*", "All"),
        ("nogroup", "--topic", "*", "All"), ("nogroup", "--cluster", None, "All"),
        ("nowrite", "--topic", "*", "Describe"), ("nowrite", "--cluster", None, "All"), ("nowrite", "--group", "*", "All"),
    ]:
        acl(user, kind, name, operation)


def tool(main, *arguments, check=True):
    return run("java", "-Xmx128m", "-cp", f"{LAB}/libs/*", main, "--bootstrap-server", f"127.0.0.1:{PLAIN}", *arguments, env=ENV, check=check)


def acl(user, kind, name, operation):
    tool("kafka.admin.AclCommand", "--add", "--allow-principal", f"User:{user}", "--operation", operation, kind, *([name] if name else []))


def topic(name, *more):
    tool("org.apache.kafka.tools.TopicCommand", "--create", "--if-not-exists", "--topic", name, "--partitions", "1", "--replication-factor", "1", *more)


def drop_topic(name):
    tool("org.apache.kafka.tools.TopicCommand", "--delete", "--topic", name, check=False)


# Databases

def mariadb(name, port, *options):
    data = f"{LAB}/{name}"
    shutil.rmtree(data, ignore_errors=True)
    run("mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=mysql", "--auth-root-authentication-method=normal")
    run("chown", "-R", "mysql", data)
    spawn(name, "mariadbd", "--no-defaults", f"--datadir={data}", f"--socket=/tmp/lab-{port}.sock", f"--port={port}", "--bind-address=127.0.0.1", "--user=mysql", "--innodb-buffer-pool-size=64M", "--skip-name-resolve", *options)
    assert until(lambda: listening(port)), f"{name} does not listen"


def restart_mariadb(pause):
    for child in [c for c in children if c.args[0] == "mariadbd" and f"--port={MYSQL}" in c.args and c.poll() is None]:
        end(child)
        time.sleep(pause)
        spawn("mariadb", *child.args)
    assert until(lambda: listening(MYSQL)), "MariaDB does not come back"


def sql(text, port=MYSQL):
    return run("mariadb", "--no-defaults", "-h127.0.0.1", f"-P{port}", "-uroot", "-N", "-e", text)


GRANTS = "SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE, BINLOG MONITOR, LOCK TABLES"


def user(name, grants=GRANTS, port=MYSQL, on="*.*"):
    sql(f"CREATE OR REPLACE USER '{name}'@'%' IDENTIFIED BY 'right';" + (f"GRANT {grants} ON {on} TO '{name}'@'%'" if grants else ""), port)


def shop(port=MYSQL):
    sql("CREATE OR REPLACE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY, note LONGTEXT); INSERT INTO shop.orders VALUES (1, 'a')", port)
    user("debezium", port=port)


def databases():
    mariadb("mariadb", MYSQL, "--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-image=FULL", "--server-id=1", "--max-allowed-packet=64M")
    mariadb("mariadb-nolog", NOLOG, "--skip-log-bin", "--binlog-format=ROW")
    shop()
    shop(NOLOG)
    postgres()


def pg(text, database="postgres"):
    return run("psql", "-h", "127.0.0.1", "-p", str(PG), "-U", "postgres", "-d", database, "-tAc", text)


def postgres(wal_level="logical", more=()):
    data = f"{LAB}/postgres"
    shutil.rmtree(data, ignore_errors=True)
    os.makedirs(data)
    shutil.chown(data, "postgres", "postgres")
    bin_ = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    run(f"{bin_}/initdb", "-D", data, "-U", "postgres", "--auth=trust", "--wal-segsize=1", user="postgres", cwd="/")
    with open(f"{data}/pg_hba.conf", "w") as file:
        file.write("host all postgres 127.0.0.1/32 trust\nhost all refused 127.0.0.1/32 reject\nhost shop all 127.0.0.1/32 scram-sha-256\n")
        file.write("host replication all 127.0.0.1/32 scram-sha-256\n")
    child = spawn("postgres", f"{bin_}/postgres", "-D", data, "-p", str(PG), "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={data}", "-c", f"wal_level={wal_level}", "-c", "max_slot_wal_keep_size=1MB", "-c", "min_wal_size=2MB", "-c", "max_wal_size=2MB", *more, user="postgres")
    assert until(lambda: "1" in pg("SELECT 1")), "PostgreSQL does not answer"
    pg("CREATE DATABASE shop")
    pg("CREATE TABLE orders (id INT PRIMARY KEY, note TEXT); INSERT INTO orders VALUES (1, 'a'); CREATE TABLE secret (id INT PRIMARY KEY); INSERT INTO secret VALUES (1)", "shop")
    for name in ("debezium", "refused"):
        pg(f"CREATE ROLE {name} LOGIN REPLICATION PASSWORD 'right'", "shop")
        pg(f"GRANT SELECT ON orders TO {name}; GRANT CREATE ON DATABASE shop TO {name}", "shop")
    pg("CREATE ROLE norepl LOGIN PASSWORD 'right'; GRANT SELECT ON orders TO norepl", "shop")
    pg("CREATE PUBLICATION dbz_publication FOR TABLE orders", "shop")
    return child


# Connect

def worker(name="connect", plugins="plugins", heap="768m", options=(), wait=True, **more):
    properties = {
        "bootstrap.servers": f"127.0.0.1:{PLAIN}", "group.id": name, "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter", "config.storage.topic": f"{name}-configs",
        "offset.storage.topic": f"{name}-offsets", "status.storage.topic": f"{name}-status", "config.storage.replication.factor": 1,
        "offset.storage.replication.factor": 1, "status.storage.replication.factor": 1, "offset.flush.interval.ms": 1000,
        "plugin.path": f"{LAB}/{plugins}", "plugin.discovery": "only_scan", "listeners": f"http://127.0.0.1:{REST}",
        "connector.client.config.override.policy": "All", "scheduled.rebalance.max.delay.ms": 0,
        **{k.replace("__", "."): v for k, v in more.items()},
    }
    path = f"{LAB}/{name}.properties"
    with open(path, "w") as file:
        file.writelines(f"{k}={v}\n" for k, v in properties.items())
    child = java(name, "org.apache.kafka.connect.cli.ConnectDistributed", path, heap=heap, options=options)
    child.name = name
    if wait:
        assert until(lambda: rest("GET", "/connectors") == [], 180), "Connect does not answer"
    return child


def rest(method, path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{REST}{path}", method=method, data=None if body is None else json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=100) as answer:
            text = answer.read()
            return json.loads(text) if text else {}
    except urllib.error.HTTPError as error:
        text = error.read()
        if not text.startswith(b"{"):
            raise OSError(f"Connect is starting: {error.code}") from error
        return {"error": json.loads(text)}


def history(name, **client):
    settings = {"schema.history.internal.kafka.bootstrap.servers": f"127.0.0.1:{PLAIN}", "schema.history.internal.kafka.topic": f"{name}-history"}
    for side in ("producer", "consumer"):
        settings.update({f"schema.history.internal.{side}.{k.replace('__', '.')}": v for k, v in client.items()})
    return settings


def mysql(name, **more):
    return {
        "connector.class": "io.debezium.connector.mysql.MySqlConnector", "tasks.max": "1", "topic.prefix": name,
        "database.hostname": "127.0.0.1", "database.port": str(MYSQL), "database.user": "debezium", "database.password": "right",
        "database.server.id": str(5000 + len(name)), "database.include.list": "shop", "table.include.list": "shop.orders", "database.ssl.mode": "disabled",
        "topic.creation.default.replication.factor": "1", "topic.creation.default.partitions": "1", "snapshot.locking.mode": "minimal",
        **history(name), **{k.replace("__", "."): v for k, v in more.items()},
    }


def postgresql(name, **more):
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1", "topic.prefix": name,
        "database.hostname": "127.0.0.1", "database.port": str(PG), "database.user": "debezium", "database.password": "right",
        "database.dbname": "shop", "table.include.list": "public.orders", "plugin.name": "pgoutput", "slot.name": "s_" + name.replace("-", "_"),
        "publication.name": "dbz_publication", "publication.autocreate.mode": "disabled", "slot.max.retries": "1", "slot.retry.delay.ms": "500",
        "topic.creation.default.replication.factor": "1", "topic.creation.default.partitions": "1",
        **{k.replace("__", "."): v for k, v in more.items()},
    }


def sasl(user, password=None):
    return {"security__protocol": "SASL_PLAINTEXT", "sasl__mechanism": "PLAIN", "sasl__jaas__config": JAAS.format(user, password or f"{user}-secret")}


def override(settings, prefix="producer.override."):
    return {f"{prefix}bootstrap.servers": f"127.0.0.1:{SASL}", **{prefix + k.replace("__", "."): v for k, v in settings.items()}}


# Recording

KILLED = "Task is being killed"


class Recorder:
    def __init__(self, name, code, log="connect"):
        self.name, self.code, self.path = name, code, f"{LAB}/{log}.log"
        self.begin = os.path.getsize(self.path) if os.path.exists(self.path) else 0
        self.refused = None

    def text(self):
        with open(self.path, encoding="utf-8", errors="replace") as file:
            file.seek(self.begin)
            return file.read()

    def start(self, config):
        self.config = config
        answer = rest("POST", "/connectors", {"name": self.name, "config": config})
        self.refused = answer.get("error")
        return self.refused

    def restart(self):
        rest("POST", f"/connectors/{self.name}/restart?includeTasks=true")

    def wait(self, *texts, limit=45):
        found = until(lambda: any(text in self.text() for text in texts), limit)
        time.sleep(1.5)
        return found

    def running(self, limit=40):
        assert until(lambda: any(t["state"] == "RUNNING" for t in rest("GET", f"/connectors/{self.name}/status").get("tasks", [])), limit), f"{self.name} does not run: {self.text()[-3000:]}"
        time.sleep(2)

    def mark(self):
        """What was written so far is not part of the recording."""
        self.begin = os.path.getsize(self.path)

    def keep(self, delete=True):
        written = self.text()
        status = rest("GET", f"/connectors/{self.name}/status") if delete else {}
        if delete:
            rest("DELETE", f"/connectors/{self.name}")
            time.sleep(0.5)
        head = [f"# expect: {self.code}", f"# connector: {self.name}", f"# recorded: Kafka Connect 3.7.2, Debezium {DEBEZIUM}, record.py"]
        if self.refused:
            head.append("# reported: " + json.dumps(self.refused["message"].replace(LAB, "/opt/lab")))
        if status.get("tasks") is not None:
            head.append("# connector-state: " + status["connector"]["state"])
            head += [f"# task-state: {t['state']}" for t in status["tasks"]]
        body = [f"[{WORKER}] {line}" for line in trim(written)]
        with open(f"{HERE}/{self.name}.log", "w", encoding="utf-8") as file:
            file.write("\n".join(head + body) + "\n")
        print(self.name, "kept", len(body), "lines", flush=True)


def trim(text):
    """Without the dumps of configurations, deep frames and this machine's paths."""
    lines, frames, dump = [], 0, False
    for line in text.replace(LAB, "/opt/lab").splitlines():
        if re.match(r"\[\d{4}-", line):
            dump = bool(re.search(r"\w+Config values: *\(|Starting \w+ with configuration|configuration of connector", line)) or line.endswith("values: ")
            frames = 0
            if not dump and not re.search(r"were supplied but|Kafka (version|commitId|startTimeMs)|Metrics (scheduler|reporters)|Closing reporter|App info kafka|HTTP/1.1|telemetry", line):
                lines.append(line)
            continue
        if dump:
            continue
        if re.match(r"\s+at ", line):
            frames += 1
            if frames > 5:
                continue
        elif line.startswith("Caused by"):
            frames = 0
        if line.strip():
            lines.append(line)
    return shorten(lines)


def shorten(lines, most=160, heads=30, tails=40):
    """Of a long log the first and last lines, and between them the newest of what is no INFO."""
    if len(lines) <= most:
        return lines
    middle, wanted = [], False
    for line in lines[heads:-tails]:
        if re.match(r"\[\d{4}-", line):
            wanted = not re.match(r"\[[^]]*\] (INFO|DEBUG)", line)
        if wanted:
            middle.append(line)
    return lines[:heads] + middle[-(most - heads - tails):] + lines[-tails:]


SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__.replace("_", "-")] = function
    return function


def simple(name, code, config, *texts, limit=45):
    """A connector that fails by its configuration alone."""
    def play():
        recorder = Recorder(name, code)
        refused = recorder.start(config())
        if not refused:
            recorder.wait(*(texts or (KILLED,)), limit=limit)
        recorder.keep()
    SCENARIOS[name] = play


for who, code, grants in [
    ("no-replication-slave", "C-MYSQL-GRANT-SLAVE", GRANTS.replace("REPLICATION SLAVE, ", "")),
    ("no-replication-client", "C-MYSQL-GRANT-CLIENT", GRANTS.replace("BINLOG MONITOR, ", "")),
    ("no-lock-tables", "C-MYSQL-GRANT-LOCK", GRANTS.replace("RELOAD, ", "").replace(", LOCK TABLES", "")),
]:
    def play(who=who, code=code, grants=grants):
        user("poor", grants)
        recorder = Recorder(f"mysql-{who}", code)
        if not recorder.start(mysql(f"mysql-{who}", database__user="poor")):
            recorder.wait(KILLED, "Producer failure")
        recorder.keep()
    SCENARIOS[f"mysql-{who}"] = play

simple("mysql-wrong-password", "C-DB-AUTH", lambda: mysql("mysql-wrong-password", database__password="wrong"))
simple("mysql-empty-password", "C-DB-NO-PASSWORD", lambda: mysql("mysql-empty-password", database__password=""))
simple("mysql-unknown-host", "C-DB-HOST", lambda: mysql("mysql-unknown-host", database__hostname="orders-db.invalid"))
simple("mysql-refused", "C-DB-REFUSED", lambda: mysql("mysql-refused", database__port="13999"))
simple("mysql-binlog-off", "C-MYSQL-BINLOG-OFF", lambda: mysql("mysql-binlog-off", database__port=str(NOLOG)), KILLED)
simple("mysql-no-class", "C-PLUGIN-CONNECTOR", lambda: mysql("mysql-no-class", connector__class="io.debezium.connector.mysql.MySQLConnector"))
simple("mysql-no-converter", "C-PLUGIN-CLASS", lambda: mysql("mysql-no-converter", value__converter="io.apicurio.registry.utils.converter.AvroConverter"))
simple("mysql-no-prefix", "C-CONFIG-MISSING", lambda: {k: v for k, v in mysql("mysql-no-prefix").items() if k != "topic.prefix"})
simple("mysql-two-wrong-values", "C-CONFIG-VALUE", lambda: mysql("mysql-two-wrong-values", snapshot__mode="sometimes", tasks__max="many"))
simple("mysql-two-tasks", "C-CONFIG-TASKS", lambda: mysql("mysql-two-tasks", tasks__max="2"), "Only a single connector task may be started")
simple("mysql-replication-factor", "C-KAFKA-REPLICATION", lambda: mysql("mysql-replication-factor", topic__creation__default__replication__factor="3"))
simple("mysql-unknown-topic", "C-KAFKA-NO-TOPIC", lambda: {**{k: v for k, v in mysql("mysql-unknown-topic").items() if not k.startswith("topic.creation")}, "producer.override.max.block.ms": "5000"}, KILLED, limit=60)
simple("mysql-topic-rights", "C-KAFKA-TOPIC-RIGHTS", lambda: {**mysql("mysql-topic-rights"), **override(sasl("nowrite"))}, KILLED)
simple("mysql-describe-rights", "C-KAFKA-TOPIC-RIGHTS", lambda: {**mysql("mysql-describe-rights"), **override(sasl("nothing"), "admin.override."), **override(sasl("nothing"))}, KILLED)
simple("mysql-history-wrong-password", "C-KAFKA-LOGIN", lambda: {**mysql("mysql-history-wrong-password"), **history("mysql-history-wrong-password", **sasl("admin", "wrong")), "schema.history.internal.kafka.bootstrap.servers": f"127.0.0.1:{SASL}"})
simple("mysql-history-wrong-mechanism", "C-KAFKA-MECHANISM", lambda: {**mysql("mysql-history-wrong-mechanism"), **history("mysql-history-wrong-mechanism", security__protocol="SASL_PLAINTEXT", sasl__mechanism="SCRAM-SHA-512", sasl__jaas__config='org.apache.kafka.common.security.scram.ScramLoginModule required username="a" password="b";'), "schema.history.internal.kafka.bootstrap.servers": f"127.0.0.1:{SASL}"})
simple("mysql-history-sasl-on-plain-port", "C-KAFKA-MECHANISM", lambda: {**mysql("mysql-history-sasl-on-plain-port"), **history("mysql-history-sasl-on-plain-port", **sasl("admin"))})
simple("mysql-history-tls-on-plain-port", "C-KAFKA-UNREACHED", lambda: {**mysql("mysql-history-tls-on-plain-port"), **history("mysql-history-tls-on-plain-port", security__protocol="SSL")})
simple("mysql-history-untrusted", "C-KAFKA-TRUST", lambda: {**mysql("mysql-history-untrusted"), **history("mysql-history-untrusted", security__protocol="SSL"), "schema.history.internal.kafka.bootstrap.servers": f"127.0.0.1:{TLS}"})
simple("mysql-history-plain-on-tls-port", "C-KAFKA-PLAIN-TO-TLS", lambda: {**mysql("mysql-history-plain-on-tls-port"), "schema.history.internal.kafka.bootstrap.servers": f"127.0.0.1:{TLS}"}, KILLED, limit=120)
simple("mysql-history-refused", "C-KAFKA-UNREACHED", lambda: {**mysql("mysql-history-refused"), "schema.history.internal.kafka.bootstrap.servers": "127.0.0.1:19999"}, KILLED, limit=120)
simple("mysql-history-unknown-host", "C-KAFKA-HOST", lambda: {**mysql("mysql-history-unknown-host"), "schema.history.internal.kafka.bootstrap.servers": "b-1.orders.invalid:9098"})
simple("mysql-placeholder-unresolved", "C-SECRET-PLACEHOLDER", lambda: mysql("mysql-placeholder-unresolved", database__user="${secretsmanager:cdc/orders:username}"))
simple("postgres-wrong-password", "C-DB-AUTH", lambda: postgresql("postgres-wrong-password", database__password="wrong"))
simple("postgres-hba", "C-PG-HBA", lambda: postgresql("postgres-hba", database__user="refused"))
simple("postgres-no-hba-entry", "C-PG-HBA", lambda: postgresql("postgres-no-hba-entry", database__dbname="template1"))
simple("postgres-no-database", "C-PG-DATABASE", lambda: postgresql("postgres-no-database", database__user="postgres", database__dbname="shopp"))
simple("postgres-no-replication", "C-PG-REPLICATION", lambda: postgresql("postgres-no-replication", database__user="norepl"))
simple("postgres-no-publication", "C-PG-PUBLICATION", lambda: postgresql("postgres-no-publication", publication__name="nowhere"), KILLED, "Producer failure")
simple("postgres-no-select", "C-PG-GRANT-SELECT", lambda: postgresql("postgres-no-select", table__include__list="public.secret"))
simple("postgres-publication-not-owner", "C-PG-PUBLICATION-RIGHTS", lambda: postgresql("postgres-publication-not-owner", publication__name="pub_new", publication__autocreate__mode="filtered"))
simple("postgres-refused", "C-DB-REFUSED", lambda: postgresql("postgres-refused", database__port="15999"))
simple("postgres-unknown-host", "C-DB-HOST", lambda: postgresql("postgres-unknown-host", database__hostname="orders-db.invalid"))


@scenario
def healthy():
    recorder = Recorder("healthy", "none")
    recorder.start(mysql("healthy"))
    recorder.wait("Connected to binlog", "Keepalive thread is running")
    sql("INSERT INTO shop.orders VALUES (100, 'x') ON DUPLICATE KEY UPDATE note = 'y'")
    time.sleep(4)
    recorder.keep()


@scenario
def healed():
    """The database is gone for a while, and comes back."""
    recorder = Recorder("healed", "none")
    recorder.start(mysql("healed", retriable__restart__connector__wait__ms="2000", connect__keep__alive__interval__ms="2000"))
    recorder.wait("Connected to binlog")
    recorder.running()
    restart_mariadb(4)
    until(lambda: recorder.text().count("Connected to binlog at") > 1, 60)
    sql("INSERT INTO shop.orders VALUES (101, 'x') ON DUPLICATE KEY UPDATE note = 'z'")
    time.sleep(8)
    recorder.keep()


@scenario
def mysql_stream_stopped():
    """Without keep-alive a connector whose connection the server ended stays RUNNING."""
    recorder = Recorder("mysql-stream-stopped", "C-MYSQL-STOPPED")
    recorder.start(mysql("mysql-stream-stopped", retriable__restart__connector__wait__ms="2000", connect__keep__alive="false"))
    recorder.wait("Connected to binlog")
    for line in sql("SELECT id FROM information_schema.processlist WHERE command = 'Binlog Dump'").split():
        sql(f"KILL {line}")
    time.sleep(12)
    sql("INSERT INTO shop.orders VALUES (101, 'x') ON DUPLICATE KEY UPDATE note = 'z'")
    time.sleep(5)
    recorder.keep()


@scenario
def mysql_timeout():
    """A port whose queue is full: nothing answers, as behind a security group."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    held.listen(0)
    port = held.getsockname()[1]
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            filler.connect(("127.0.0.1", port))
        fillers.append(filler)
    recorder = Recorder("mysql-timeout", "C-DB-TIMEOUT")
    if not recorder.start(mysql("mysql-timeout", database__port=str(port), connect__timeout__ms="4000")):
        recorder.wait(KILLED, "Producer failure")
    recorder.keep()
    recorder = Recorder("postgres-timeout", "C-DB-TIMEOUT")
    if not recorder.start(postgresql("postgres-timeout", database__port=str(port), **{"driver.connectTimeout": "4"})):
        recorder.wait(KILLED, "Producer failure")
    recorder.keep()


@scenario
def mysql_no_select_on_table():
    user("poor", GRANTS.replace("SELECT, ", "") + ", INSERT")
    recorder = Recorder("mysql-no-select-on-table", "C-MYSQL-GRANT-SELECT")
    if not recorder.start(mysql("mysql-no-select-on-table", database__user="poor")):
        recorder.wait(KILLED, "Producer failure", limit=25)
    recorder.keep()


@scenario
def mysql_too_many_connections():
    sql("SET GLOBAL max_connections = 10")
    held = [subprocess.Popen(["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{MYSQL}", "-udebezium", "-pright", "-e", "SELECT SLEEP(15)"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(12)]
    time.sleep(2)
    recorder = Recorder("mysql-too-many-connections", "C-DB-CONNECTIONS")
    if not recorder.start(mysql("mysql-too-many-connections")):
        recorder.wait(KILLED, "Producer failure")
    for client in held:
        client.wait()
    sql("SET GLOBAL max_connections = 151")
    recorder.keep()


@scenario
def mysql_history_tls_to_other_service():
    """Not a broker answers a client with TLS, but something that speaks plain text."""
    import threading
    server = socket.create_server(("127.0.0.1", 0))

    def answer():
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                client.recv(100)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                client.close()
    threading.Thread(target=answer, daemon=True).start()
    name = "mysql-history-tls-to-other-service"
    recorder = Recorder(name, "C-KAFKA-TLS")
    recorder.start({**mysql(name), **history(name, security__protocol="SSL"), "schema.history.internal.kafka.bootstrap.servers": f"127.0.0.1:{server.getsockname()[1]}"})
    recorder.wait(KILLED)
    recorder.keep()
    server.close()


@scenario
def mysql_no_select():
    user("poor", GRANTS.replace("SELECT, ", ""))
    recorder = Recorder("mysql-no-select", "C-NO-TABLES")
    if not recorder.start(mysql("mysql-no-select", database__user="poor")):
        recorder.wait(KILLED, "Producer failure", limit=25)
    recorder.keep()


def format_scenario(name, code, variable, value, back):
    def play():
        sql(f"SET GLOBAL {variable} = '{value}'")
        recorder = Recorder(name, code)
        if not recorder.start(mysql(name)):
            recorder.wait(KILLED, "Producer failure")
        recorder.keep()
        sql(f"SET GLOBAL {variable} = '{back}'")
    SCENARIOS[name] = play


format_scenario("mysql-not-row", "C-MYSQL-NOT-ROW", "binlog_format", "STATEMENT", "ROW")
format_scenario("mysql-not-full", "C-MYSQL-NOT-FULL", "binlog_row_image", "MINIMAL", "FULL")


@scenario
def mysql_position_purged():
    name = "mysql-position-purged"
    recorder = Recorder(name, "C-MYSQL-PURGED")
    recorder.start(mysql(name))
    recorder.wait("Connected to binlog")
    recorder.running()
    rest("PUT", f"/connectors/{name}/stop")
    time.sleep(3)
    sql("FLUSH BINARY LOGS; FLUSH BINARY LOGS")
    last = sql("SHOW BINARY LOGS").strip().splitlines()[-1].split()[0]
    sql(f"PURGE BINARY LOGS TO '{last}'")
    recorder.mark()
    rest("PUT", f"/connectors/{name}/resume")
    recorder.wait(KILLED)
    recorder.keep()


@scenario
def mysql_duplicate_server_id():
    name = "mysql-duplicate-server-id"
    other = Recorder("mysql-twin", "none")
    other.start(mysql("mysql-twin", database__server__id="7777", retriable__restart__connector__wait__ms="1000", connect__keep__alive="false"))
    other.wait("Connected to binlog")
    recorder = Recorder(name, "C-MYSQL-SERVER-ID")
    recorder.start(mysql(name, database__server__id="7777", retriable__restart__connector__wait__ms="1000", connect__keep__alive="false"))
    recorder.wait("same server_uuid/server_id", "Producer failure", limit=40)
    time.sleep(3)
    recorder.keep()
    rest("DELETE", "/connectors/mysql-twin")


@scenario
def mysql_record_too_large():
    name = "mysql-record-too-large"
    recorder = Recorder(name, "C-KAFKA-TOO-LARGE")
    recorder.start(mysql(name))
    recorder.wait("Connected to binlog")
    recorder.mark()
    sql("REPLACE INTO shop.orders VALUES (200, REPEAT('x', 2000000))")
    recorder.wait(KILLED)
    recorder.keep()
    sql("DELETE FROM shop.orders WHERE id = 200")


@scenario
def mysql_record_too_large_for_topic():
    name = "mysql-record-too-large-for-topic"
    recorder = Recorder(name, "C-KAFKA-TOO-LARGE")
    recorder.start(mysql(name, **{"producer.override.max.request.size": "8000000"}))
    recorder.wait("Connected to binlog")
    recorder.mark()
    sql("REPLACE INTO shop.orders VALUES (201, REPEAT('x', 2000000))")
    recorder.wait(KILLED)
    recorder.keep()
    sql("DELETE FROM shop.orders WHERE id = 201")


@scenario
def mysql_history_lost():
    name = "mysql-history-lost"
    recorder = Recorder(name, "C-HISTORY-LOST")
    recorder.start(mysql(name))
    recorder.wait("Connected to binlog")
    recorder.running()
    rest("PUT", f"/connectors/{name}/stop")
    time.sleep(3)
    drop_topic(f"{name}-history")
    recorder.mark()
    rest("PUT", f"/connectors/{name}/resume")
    recorder.wait(KILLED)
    recorder.keep()


@scenario
def mysql_history_group_rights():
    name = "mysql-history-group-rights"
    recorder = Recorder(name, "C-KAFKA-GROUP-RIGHTS")
    recorder.start(mysql(name))
    recorder.wait("Connected to binlog")
    recorder.running()
    rest("PUT", f"/connectors/{name}/stop")
    time.sleep(3)
    recorder.mark()
    rest("PUT", f"/connectors/{name}/config", {**recorder.config, **history(name, **sasl("nogroup")), "schema.history.internal.kafka.bootstrap.servers": f"127.0.0.1:{SASL}"})
    rest("PUT", f"/connectors/{name}/resume")
    recorder.wait(KILLED)
    recorder.keep()


@scenario
def mysql_schema_unknown():
    """The history topic is there and tells nothing of the table."""
    name = "mysql-schema-unknown"
    recorder = Recorder(name, "C-HISTORY-TABLE")
    recorder.start(mysql(name, snapshot__mode="never"))
    recorder.wait("Connected to binlog", KILLED)
    sql("RESET MASTER")
    rest("DELETE", f"/connectors/{name}")
    recorder = Recorder(name, "C-HISTORY-TABLE")
    recorder.start(mysql(name + "-2", snapshot__mode="never"))
    recorder.wait("Connected to binlog", KILLED)
    sql("UPDATE shop.orders SET note = 'changed'")
    recorder.wait(KILLED)
    recorder.keep()


@scenario
def mysql_unparseable_ddl():
    name = "mysql-unparseable-ddl"
    recorder = Recorder(name, "C-HISTORY-DDL")
    recorder.start(mysql(name))
    recorder.wait("Connected to binlog")
    recorder.mark()
    sql("USE shop; CREATE OR REPLACE TABLE log_entries (id INT PRIMARY KEY, at DATE, PERIOD FOR span(at, until), until DATE NOT NULL); ")
    recorder.wait(KILLED)
    recorder.keep()
    sql("DROP TABLE shop.log_entries")


@scenario
def postgres_slot_active():
    first = Recorder("postgres-holder", "none")
    first.start(postgresql("postgres-holder", slot__name="shared"))
    first.wait("Processing messages")
    recorder = Recorder("postgres-slot-active", "C-PG-SLOT-ACTIVE")
    recorder.start(postgresql("postgres-slot-active", slot__name="shared"))
    recorder.wait(KILLED, limit=40)
    recorder.keep()
    rest("DELETE", "/connectors/postgres-holder")


def stopped_postgres(name, code, between):
    recorder = Recorder(name, code)
    recorder.start(postgresql(name))
    recorder.wait("Processing messages")
    recorder.running()
    rest("PUT", f"/connectors/{name}/stop")
    time.sleep(3)
    between("s_" + name.replace("-", "_"))
    recorder.mark()
    rest("PUT", f"/connectors/{name}/resume")
    recorder.wait(KILLED, "Producer failure", limit=40)
    recorder.keep()


@scenario
def postgres_slot_missing():
    def between(slot):
        pg(f"SELECT pg_drop_replication_slot('{slot}')")
        pg("INSERT INTO orders SELECT g, 'x' FROM generate_series(1000, 1100) g ON CONFLICT DO NOTHING", "shop")
    stopped_postgres("postgres-slot-missing", "C-PG-SLOT-MISSING", between)


@scenario
def postgres_slot_invalidated():
    def between(slot):
        for _ in range(8):
            pg("CREATE TABLE fill AS SELECT repeat('x', 1000) FROM generate_series(1, 20000); DROP TABLE fill", "shop")
            pg("SELECT pg_switch_wal()")
            pg("CHECKPOINT")
    stopped_postgres("postgres-slot-invalidated", "C-PG-SLOT-LOST", between)


@scenario
def postgres_healthy():
    recorder = Recorder("postgres-healthy", "none")
    recorder.start(postgresql("postgres-healthy"))
    recorder.wait("Processing messages")
    pg("INSERT INTO orders VALUES (5000, 'x') ON CONFLICT DO NOTHING", "shop")
    time.sleep(4)
    recorder.keep()


# Those that need a worker, or a server, of their own

def own_worker(name, code, *texts, limit=60, connector=None, startup=False, **options):
    def play():
        label = "connect-" + name
        open(f"{LAB}/{label}.log", "w").close()
        recorder = Recorder(name, code, label)
        child = worker(label, wait=False, **options)
        if connector:
            assert until(lambda: rest("GET", "/connectors") == [], 180)
            if not startup:
                recorder.mark()
            if not recorder.start(connector()):
                recorder.wait(*texts, limit=limit)
        else:
            recorder.wait(*texts, limit=limit)
        recorder.keep(delete=connector is not None)
        end(child)
    play.own = True
    SCENARIOS[name] = play


own_worker("plugin-missing-class", "C-PLUGIN-CLASS", KILLED, plugins="plugins-missing", connector=lambda: mysql("plugin-missing-class"))
own_worker("plugin-newer-java", "C-PLUGIN-JAVA", KILLED, plugins="plugins-newer", startup=True, connector=lambda: mysql("plugin-newer-java"))
own_worker("worker-replication-factor", "C-KAFKA-NOT-CREATED", "Stopping due to error", "Uncaught exception in herder", limit=200, config__storage__replication__factor=3, offset__storage__replication__factor=3, status__storage__replication__factor=3)
own_worker("worker-wrong-port", "C-KAFKA-UNREACHED", "Stopping due to error", limit=120, bootstrap__servers=f"127.0.0.1:{TLS}", default__api__timeout__ms=8000, request__timeout__ms=4000)
own_worker("worker-refused", "C-KAFKA-UNREACHED", "Stopping due to error", limit=120, bootstrap__servers="127.0.0.1:19999", default__api__timeout__ms=8000, request__timeout__ms=4000)
own_worker("worker-unknown-host", "C-KAFKA-HOST", "Stopping due to error", "Exiting", bootstrap__servers="b-1.orders.invalid:9098")
own_worker("worker-wrong-password", "C-KAFKA-LOGIN", "Stopping due to error", bootstrap__servers=f"127.0.0.1:{SASL}", security__protocol="SASL_PLAINTEXT", sasl__mechanism="PLAIN", sasl__jaas__config=JAAS.format("admin", "wrong"))
own_worker("worker-topic-rights", "C-KAFKA-TOPIC-RIGHTS", "Stopping due to error", "Uncaught exception in herder", bootstrap__servers=f"127.0.0.1:{SASL}", **sasl("nothing"))
own_worker("worker-group-rights", "C-KAFKA-GROUP-RIGHTS", "Uncaught exception in herder", "Stopping due to error", bootstrap__servers=f"127.0.0.1:{SASL}", **sasl("nogroup"))
own_worker("worker-no-provider", "C-PLUGIN-CLASS", "Stopping due to error", "Exiting", config__providers="secretsmanager", config__providers__secretsmanager__class="com.amazonaws.kafka.config.providers.SecretsManagerConfigProvider")
own_worker("worker-compacted-offsets", "C-KAFKA-COMPACT", "Stopping due to error", "Uncaught exception in herder", offset__storage__topic="not-compacted")
own_worker("worker-out-of-memory", "C-WORKER-MEMORY", "OutOfMemoryError", heap="96m", limit=90, connector=lambda: mysql("worker-out-of-memory", max__queue__size="60000", max__batch__size="50000", **{"producer.override.max.request.size": "30000000", "producer.override.buffer.memory": "400000000"}))


@scenario
def mysql_placeholder_no_provider():
    pass


del SCENARIOS["mysql-placeholder-no-provider"]


@scenario
def postgres_wal_level():
    """The server, started again with another wal_level."""
    for child in [c for c in children if "postgres" in c.args[0] and c.poll() is None]:
        end(child)
    child = postgres("replica")
    recorder = Recorder("postgres-wal-level", "C-PG-WAL-LEVEL")
    if not recorder.start(postgresql("postgres-wal-level")):
        recorder.wait(KILLED, "Producer failure")
    recorder.keep()
    end(child)


def serve():
    sql("CREATE SCHEMA cdc; CREATE TABLE cdc.canary (id VARCHAR(64) NOT NULL PRIMARY KEY, step INT NOT NULL)")
    sql("GRANT INSERT, UPDATE, DELETE ON cdc.* TO 'debezium'@'%'")
    user("poor", "SELECT", on="shop.*")
    pg("CREATE SCHEMA cdc; CREATE TABLE cdc.canary (id VARCHAR(64) NOT NULL PRIMARY KEY, step INT NOT NULL); ALTER TABLE cdc.canary REPLICA IDENTITY FULL; GRANT USAGE ON SCHEMA cdc TO debezium; GRANT ALL ON cdc.canary TO debezium; ALTER PUBLICATION dbz_publication ADD TABLE cdc.canary", "shop")
    worker()
    plain = {"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false", "key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false"}
    mine = Recorder("real-mysql", "none")
    mine.start({**mysql("real-mysql", database__include__list="cdc", table__include__list="cdc.canary", heartbeat__interval__ms="1000"), **plain})
    mine.wait("Keepalive thread is running")
    theirs = Recorder("real-postgres", "none")
    theirs.start(postgresql("real-postgres", table__include__list="cdc.canary"))
    theirs.wait("Processing messages")
    print("ready", flush=True)
    sys.stdin.read()


def main():
    os.makedirs(LAB, exist_ok=True)
    wanted = sys.argv[2:] or list(SCENARIOS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    download()
    broken_plugins()
    try:
        kafka()
        databases()
        if wanted == ["--serve"]:
            return serve()
        topic("not-compacted", "--config", "cleanup.policy=delete")
        shared = [n for n in wanted if not hasattr(SCENARIOS[n], "own")]
        child = worker() if shared else None
        failed = []
        for name in shared + [n for n in wanted if n not in shared]:
            if name not in shared and child:
                end(child)
                child = None
            if name == "worker-out-of-memory":
                sql("USE shop; INSERT INTO orders SELECT seq, REPEAT('x', 900000) FROM seq_300_to_420")
            try:
                SCENARIOS[name]()
            except Exception as error:  # the others are recorded all the same
                failed.append(name)
                print(name, "FAILED", repr(error)[:2000], flush=True)
        print("failed:", failed)
    finally:
        for child in children:
            end(child)


if __name__ == "__main__":
    main()
