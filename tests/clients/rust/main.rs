//! The scenarios of rskafka. Run with the bootstrap list: every scenario (whose name begins as
//! told) prints one line, "PASS name" or "FAIL name: why".

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, TimeZone, Utc};
use rskafka::client::error::{Error as KafkaError, ProtocolError};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::{Record, RecordAndOffset};

const LIMIT: Duration = Duration::from_secs(30);
const BIG: usize = 1_000_000;
const TIMEOUT_MS: i32 = 10_000;

type Outcome = Result<(), Box<dyn Error>>;
type Scenario<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

macro_rules! check {
    ($holds:expr, $($what:tt)*) => {
        if !$holds {
            return Err(format!($($what)*).into());
        }
    };
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let args: Vec<String> = std::env::args().collect();
    let brokers = args[1].split(',').map(String::from).collect();
    let client = &ClientBuilder::new(brokers).build().await?;
    let all: Vec<(&str, Scenario)> = vec![
        (
            "records_come_back_exactly_as_sent_none",
            Box::pin(round_trip(client, Compression::NoCompression)),
        ),
        (
            "records_come_back_exactly_as_sent_gzip",
            Box::pin(round_trip(client, Compression::Gzip)),
        ),
        (
            "records_come_back_exactly_as_sent_snappy",
            Box::pin(round_trip(client, Compression::Snappy)),
        ),
        (
            "records_come_back_exactly_as_sent_lz4",
            Box::pin(round_trip(client, Compression::Lz4)),
        ),
        (
            "records_come_back_exactly_as_sent_zstd",
            Box::pin(round_trip(client, Compression::Zstd)),
        ),
        ("offsets_by_time", Box::pin(offsets_by_time(client))),
        (
            "record_of_2_mb_is_too_large_and_the_connection_lives_on",
            Box::pin(too_large(client)),
        ),
        ("unknown_topic_is_refused", Box::pin(unknown_topic(client))),
        (
            "fetch_beyond_the_end_is_out_of_range",
            Box::pin(out_of_range(client)),
        ),
        ("admin_topics", Box::pin(admin_topics(client))),
        ("admin_delete_records", Box::pin(admin_records(client))),
    ];
    let prefix = args.get(2).map_or("", String::as_str);
    for (name, scenario) in all {
        if !name.starts_with(prefix) {
            continue;
        }
        match tokio::time::timeout(LIMIT, scenario).await {
            Ok(Ok(())) => println!("PASS {name}"),
            Ok(Err(why)) => println!("FAIL {name}: {}", why.to_string().replace('\n', " ")),
            Err(_) => println!("FAIL {name}: it came to no end"),
        }
    }
    Ok(())
}

fn unique(name: &str) -> String {
    static NUMBERS: AtomicU32 = AtomicU32::new(1);
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    format!("{name}-rust-{}-{number}", now_ms())
}

fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as i64
}

async fn partition(client: &Client, topic: &str) -> Result<PartitionClient, KafkaError> {
    client
        .partition_client(topic, 0, UnknownTopicHandling::Error)
        .await
}

async fn new_topic(client: &Client) -> Result<PartitionClient, KafkaError> {
    let topic = unique("topic");
    client
        .controller_client()?
        .create_topic(&topic, 1, 3, TIMEOUT_MS)
        .await?;
    settle().await;
    partition(client, &topic).await
}

/// After a change: here every broker knows it once it is answered, in Apache Kafka (against which
/// the scenarios are checked) a little later.
async fn settle() {
    if std::env::var("MILLRACE_TEST_TARGET").is_ok_and(|kind| kind == "kafka") {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The error must be the broker's, and this one.
fn expect<T>(wanted: ProtocolError, got: Result<T, KafkaError>) -> Outcome {
    match got {
        Err(KafkaError::ServerError {
            protocol_error,
            is_virtual: false,
            ..
        }) if protocol_error == wanted => Ok(()),
        Err(other) => Err(format!("expected {wanted}, got {other}").into()),
        Ok(_) => Err(format!("expected {wanted}").into()),
    }
}

fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64 ^ size as u64;
    (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

fn at_ms(ms: i64) -> DateTime<Utc> {
    Utc.timestamp_millis_opt(ms).unwrap()
}

fn record(value: &str, timestamp_ms: i64) -> Record {
    Record {
        key: None,
        value: Some(value.into()),
        headers: BTreeMap::new(),
        timestamp: at_ms(timestamp_ms),
    }
}

/// Keys and values also empty and null, headers also empty (rskafka knows none twice or null), and
/// one record of 1 MB.
fn sample_records() -> Vec<Record> {
    let base = now_ms() - 1000;
    let mut out: Vec<Record> = (0..40usize)
        .map(|i| {
            let keys = [
                None,
                Some(vec![]),
                Some(format!("key-{}", i % 7).into_bytes()),
            ];
            let values = [vec![], vec![b'v'; i * 50], noise(i * 10)];
            let headers = [
                ("h", format!("{i}").into_bytes()),
                ("other", vec![]),
                ("ü", noise(9)),
            ];
            Record {
                key: keys[(i % 5).min(2)].clone(),
                value: (i % 11 != 10).then(|| values[i % 3].clone()),
                headers: headers
                    .into_iter()
                    .take(i % 4)
                    .map(|(k, v)| (k.to_string(), v))
                    .collect(),
                timestamp: at_ms(base + i as i64),
            }
        })
        .collect();
    let mut big = noise(BIG / 2);
    big.resize(BIG, b'z');
    out.push(Record {
        key: Some(b"big".to_vec()),
        value: Some(big),
        ..record("", base)
    });
    out
}

async fn read_all(
    part: &PartitionClient,
    from: i64,
    count: usize,
) -> Result<Vec<RecordAndOffset>, Box<dyn Error>> {
    let mut out: Vec<RecordAndOffset> = vec![];
    let mut next = from;
    while out.len() < count {
        let (records, end) = part.fetch_records(next, 1..2 * BIG as i32, 500).await?;
        check!(end >= next, "a high watermark of {end}");
        out.extend(records.into_iter().filter(|one| one.offset >= next));
        next = out.last().map_or(from, |one| one.offset + 1);
    }
    check!(
        out.len() == count,
        "{} records instead of {count}",
        out.len()
    );
    Ok(out)
}

async fn round_trip(client: &Client, compression: Compression) -> Outcome {
    let part = new_topic(client).await?;
    let sent = sample_records();
    let offsets = part.produce(sent.clone(), compression).await?;
    check!(
        offsets == (0..sent.len() as i64).collect::<Vec<_>>(),
        "offsets {offsets:?}"
    );
    for (i, got) in read_all(&part, 0, sent.len())
        .await?
        .into_iter()
        .enumerate()
    {
        check!(got.offset == i as i64, "offset {} at {i}", got.offset);
        check!(got.record == sent[i], "record {i}");
    }
    Ok(())
}

async fn offsets_by_time(client: &Client) -> Outcome {
    let part = new_topic(client).await?;
    let base = now_ms() - 60_000; // older records might be deleted
    let records = (1..=5).map(|i| record("v", base + 1000 * i)).collect();
    part.produce(records, Compression::NoCompression).await?;
    for (asked, offset) in [(0, 0), (1001, 1), (5000, 4)] {
        let found = part
            .get_offset(OffsetAt::Timestamp(at_ms(base + asked)))
            .await?;
        check!(found == offset, "offset of time {asked}: {found}");
    }
    check!(part.get_offset(OffsetAt::Earliest).await? == 0, "the first");
    check!(part.get_offset(OffsetAt::Latest).await? == 5, "the end");
    Ok(())
}

async fn too_large(client: &Client) -> Outcome {
    let part = new_topic(client).await?;
    let large = Record {
        value: Some(vec![0; 2 * BIG]),
        ..record("", 1000)
    };
    expect(
        ProtocolError::MessageTooLarge,
        part.produce(vec![large], Compression::NoCompression).await,
    )?;
    let offsets = part
        .produce(vec![record("small", 1000)], Compression::NoCompression)
        .await?;
    check!(offsets == [0], "offsets {offsets:?}");
    Ok(())
}

/// Asking for its leader would create it: rskafka's Metadata always allows that.
async fn unknown_topic(client: &Client) -> Outcome {
    let topic = unique("unknown");
    let deleted = client
        .controller_client()?
        .delete_topic(&topic, TIMEOUT_MS)
        .await;
    expect(ProtocolError::UnknownTopicOrPartition, deleted)?;
    let listed = client.list_topics().await?;
    check!(
        !listed.iter().any(|one| one.name == topic),
        "it was created"
    );
    Ok(())
}

async fn out_of_range(client: &Client) -> Outcome {
    let part = new_topic(client).await?;
    expect(
        ProtocolError::OffsetOutOfRange,
        part.fetch_records(9, 1..1000, 100).await,
    )
}

async fn admin_topics(client: &Client) -> Outcome {
    let admin = client.controller_client()?;
    let topic = unique("admin");
    admin.create_topic(&topic, 2, 3, TIMEOUT_MS).await?;
    settle().await;
    expect(
        ProtocolError::TopicAlreadyExists,
        admin.create_topic(&topic, 2, 3, TIMEOUT_MS).await,
    )?;
    expect(
        ProtocolError::InvalidReplicationFactor,
        admin.create_topic(unique("wide"), 2, 9, TIMEOUT_MS).await,
    )?;
    expect(
        ProtocolError::InvalidTopicException,
        admin.create_topic("no topic", 2, 3, TIMEOUT_MS).await,
    )?;
    let listed = client.list_topics().await?;
    let found = listed.iter().find(|one| one.name == topic);
    check!(
        found.is_some_and(|one| one.partitions.len() == 2),
        "{found:?}"
    );
    admin.delete_topic(&topic, TIMEOUT_MS).await?;
    while client
        .list_topics()
        .await?
        .iter()
        .any(|one| one.name == topic)
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn admin_records(client: &Client) -> Outcome {
    let part = new_topic(client).await?;
    let records = ["0", "1", "2"].map(|value| record(value, 1000)).to_vec();
    part.produce(records, Compression::NoCompression).await?;
    part.delete_records(2, TIMEOUT_MS).await?;
    check!(part.get_offset(OffsetAt::Earliest).await? == 2, "the first");
    expect(
        ProtocolError::OffsetOutOfRange,
        part.fetch_records(0, 1..1000, 100).await,
    )?;
    check!(
        read_all(&part, 2, 1).await?[0].record == record("2", 1000),
        "what is left"
    );
    Ok(())
}
