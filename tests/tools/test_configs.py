"""kafka-configs and kafka-client-metrics: what is set, where it comes from, and that it works."""
from test_topics import produce


def alter(tools, *words):
    done = tools.run("kafka-configs", "--alter", *words)
    assert done.status == 0, done


def refused(tools, *words):
    done = tools.run("kafka-configs", "--alter", *words)
    assert done.status == 1, done
    return done.text


def describe(tools, *words):
    done = tools.run("kafka-configs", "--describe", *words)
    assert done.status == 0, done
    return done.text


def test_topic_settings_come_and_go(tools, topic):
    on = ("--entity-type", "topics", "--entity-name", topic)
    alter(tools, *on, "--add-config", "cleanup.policy=[compact,delete],retention.ms=5000")
    text = describe(tools, *on)
    assert "cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:" in text
    assert "retention.ms=5000 " in text
    alter(tools, *on, "--delete-config", "cleanup.policy")
    text = describe(tools, *on)
    assert "cleanup.policy" not in text and "retention.ms=5000 " in text
    assert "cleanup.policy=delete sensitive=false synonyms={DEFAULT_CONFIG:log.cleanup.policy" \
        in describe(tools, *on, "--all")


def test_refused_topic_settings_say_why(tools, topic):
    on = ("--entity-type", "topics", "--entity-name", topic)
    text = refused(tools, *on, "--add-config", "retention.ms=abc")
    assert "InvalidConfigurationException" in text and "abc" in text
    text = refused(tools, *on, "--add-config", "no.such.name=1")
    assert "InvalidConfigurationException" in text and "no.such.name" in text
    text = refused(tools, "--entity-type", "topics", "--entity-name", f"{topic}-no",
                   "--add-config", "retention.ms=1")
    assert "UnknownTopicOrPartitionException" in text
    assert "retention.ms" not in describe(tools, *on)


def test_a_brokers_default_takes_effect_at_once(tools, topic):
    on = ("--entity-type", "brokers", "--entity-default")
    alter(tools, *on, "--add-config", "message.max.bytes=3000")
    assert "message.max.bytes=3000 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:" in \
        describe(tools, *on)
    assert "RecordTooLargeException" in produce(tools, topic, 1, 5000).text
    alter(tools, *on, "--delete-config", "message.max.bytes")
    assert "1 records sent" in produce(tools, topic, 1, 5000).text


def test_one_broker_before_the_default(tools):
    alter(tools, "--entity-type", "brokers", "--entity-default", "--add-config",
          "log.segment.bytes=20000000")
    alter(tools, "--entity-type", "brokers", "--entity-name", "2", "--add-config",
          "log.segment.bytes=30000000")
    one = describe(tools, "--entity-type", "brokers", "--entity-name", "1", "--all")
    two = describe(tools, "--entity-type", "brokers", "--entity-name", "2", "--all")
    assert "log.segment.bytes=20000000 sensitive=false" in one
    assert "log.segment.bytes=30000000 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:" \
           "log.segment.bytes=30000000, DYNAMIC_DEFAULT_BROKER_CONFIG:log.segment.bytes=20000000" \
        in two
    alter(tools, "--entity-type", "brokers", "--entity-name", "2", "--delete-config",
          "log.segment.bytes")
    alter(tools, "--entity-type", "brokers", "--entity-default", "--delete-config",
          "log.segment.bytes")


def test_refused_broker_settings_say_why(tools):
    on = ("--entity-type", "brokers", "--entity-name", "1")
    assert "Cannot update these configs dynamically" in \
        refused(tools, *on, "--add-config", "node.id=4")
    assert "InvalidRequestException" in refused(tools, *on, "--add-config", "log.retention.ms=abc")


def test_log_levels(tools):
    on = ("--entity-type", "broker-loggers", "--entity-name", "1")
    before = describe(tools, *on)
    assert "root=" in before
    alter(tools, *on, "--add-config", "root=ERROR")
    assert "root=ERROR" in describe(tools, *on)
    alter(tools, *on, "--add-config", "root=INFO")
    assert "no.such.logger" in refused(tools, *on, "--add-config", "no.such.logger=INFO")


def test_group_settings(tools):
    on = ("--entity-type", "groups", "--entity-name", "some-group")
    assert "consumer.session.timeout.ms=45000 " in describe(tools, *on, "--all")
    alter(tools, *on, "--add-config", "consumer.session.timeout.ms=50000")
    assert "consumer.session.timeout.ms=50000 sensitive=false synonyms={DYNAMIC_GROUP_CONFIG:" in \
        describe(tools, *on, "--all")
    assert "InvalidConfigurationException" in \
        refused(tools, *on, "--add-config", "consumer.session.timeout.ms=5")
    alter(tools, *on, "--delete-config", "consumer.session.timeout.ms")
    assert "consumer.session.timeout.ms=45000 " in describe(tools, *on, "--all")


def test_client_metrics(tools):
    done = tools.run("kafka-client-metrics", "--alter", "--name", "one", "--metrics",
                     "org.apache.kafka.producer.", "--interval", 1000)
    assert done.status == 0, done
    assert "one" in tools.run("kafka-client-metrics", "--list").lines
    done = tools.run("kafka-client-metrics", "--describe", "--name", "one")
    assert "interval.ms=1000" in done.text, done
    done = tools.run("kafka-client-metrics", "--delete", "--name", "one")
    assert done.status == 0, done
    assert "one" not in tools.run("kafka-client-metrics", "--list").lines


def test_quotas_are_kept(tools):
    user = ("--entity-type", "users", "--entity-name", "a b=c")
    alter(tools, *user, "--add-config", "producer_byte_rate=1000,request_percentage=50.5")
    text = describe(tools, *user)
    assert "Quota configs for user-principal 'a b=c' are" in text
    assert "producer_byte_rate=1000.0" in text and "request_percentage=50.5" in text
    alter(tools, "--entity-type", "users", "--entity-default", "--entity-type", "clients",
          "--entity-name", "web", "--add-config", "consumer_byte_rate=7")
    assert "Quota configs for the default user-principal, client-id 'web' are " \
           "consumer_byte_rate=7.0" in describe(tools, "--entity-type", "users", "--entity-type",
                                                "clients")
    assert "InvalidRequestException" in \
        refused(tools, *user, "--add-config", "producer_byte_rate=1.5")
    alter(tools, *user, "--delete-config", "producer_byte_rate,request_percentage")
    assert describe(tools, *user).strip() == ""
    alter(tools, "--entity-type", "ips", "--entity-name", "10.1.2.3", "--add-config",
          "connection_creation_rate=9")
    assert "Quota configs for ip '10.1.2.3' are connection_creation_rate=9.0" in \
        describe(tools, "--entity-type", "ips")
