use datafusion::execution::TaskContext;
use datafusion_proto::physical_plan::DefaultPhysicalProtoConverter;
use proptest::prelude::*;
use store::chunk::ChunkCache;
use store::env::Env;
use store::object::ObjectClient;

use super::*;

fn codec() -> PlanCodec {
    let client = ObjectClient::open("memory:", &Env::fixed(schema::Timestamp(0))).unwrap();
    PlanCodec::new(Arc::new(PlanContext::new(client, ChunkCache::new(1 << 20), 1, 0)))
}

fn read_node(bytes: &[u8], inputs: &[Arc<dyn ExecutionPlan>]) -> Result<Arc<dyn ExecutionPlan>, String> {
    let read = codec().try_decode(bytes, inputs, &TaskContext::default(), &DefaultPhysicalProtoConverter {});
    read.map_err(|error| QueryError::from_datafusion(error).to_string())
}

fn node(kind: Kind) -> Vec<u8> {
    wire::Node { version: VERSION, kind: Some(kind) }.encode_to_vec()
}

/// One chunk of tenant `fake` with 7 rows, of which the first three are read.
fn scan() -> wire::Scan {
    let name = "t=fake/l0/0/8000000000000000-8000000000000009-7-x-00000000000000000000000000000001.parquet";
    wire::Scan {
        start: 0,
        end: 10,
        labels: Some(wire::NeededLabels { all: true, names: Vec::new() }),
        line: 3,
        tenant: "fake".to_owned(),
        chunks: vec![wire::Chunk { name: name.to_owned(), rows: 7, ..wire::Chunk::default() }],
        streams: vec![wire::Labels { labels: vec![wire::Label { name: "app".to_owned(), value: "a".to_owned() }] }],
        partitions: vec![wire::Partition {
            units: vec![wire::Unit {
                chunk: 0,
                pieces: vec![wire::Piece { rows: 3, max: 9, overlaps: vec![1, 2], hidden: vec![0], ..wire::Piece::default() }],
            }],
        }],
        hidden: vec![wire::HiddenRows { query: r#"{app=~".*"} |= "x""#.to_owned(), start: 3, end: 5 }],
        ..wire::Scan::default()
    }
}

fn error_of(change: impl FnOnce(&mut wire::Scan)) -> String {
    let mut scan = scan();
    change(&mut scan);
    read_node(&node(Kind::Scan(scan)), &[]).unwrap_err()
}

#[test]
fn a_scan_is_read() {
    let read = read_node(&node(Kind::Scan(scan())), &[]).unwrap();
    assert_eq!(read.downcast_ref::<ChunkScanExec>().unwrap().partitions().len(), 1);
}

#[test]
fn what_a_scan_cannot_read_is_refused() {
    assert!(error_of(|scan| scan.tenant = "other".to_owned()).contains("is not a chunk name"));
    assert!(error_of(|scan| scan.tenant = "../fake".to_owned()).contains("unsupported character"));
    assert!(error_of(|scan| scan.chunks.clear()).contains("chunk 0 of 0"));
    assert!(error_of(|scan| scan.streams.clear()).contains("stream 0 of 0"));
    assert!(error_of(|scan| scan.partitions.clear()).contains("no partition"));
    assert!(error_of(|scan| scan.partitions[0].units[0].pieces[0].rows = 8).contains("rows 0..8"));
    assert!(error_of(|scan| scan.partitions[0].units[0].pieces[0].rows = 0).contains("without rows"));
    assert!(error_of(|scan| scan.partitions[0].units[0].pieces[0].first_row = u64::MAX).contains("without rows"));
    assert!(error_of(|scan| scan.partitions[0].units[0].pieces[0].max = -1).contains("not in order"));
    assert!(error_of(|scan| scan.partitions[0].units[0].pieces[0].overlaps = vec![1]).contains("not in order"));
    assert!(error_of(|scan| scan.hidden.clear()).contains("rows 0 of 0"));
    assert!(error_of(|scan| scan.hidden[0].query = r#"rate({app="a"}[1m])"#.to_owned()).contains("metric query"));
    assert!(error_of(|scan| scan.chunks[0].ordinal = 1 << 24).contains("row positions"));
    assert!(error_of(|scan| scan.labels = None).contains("is missing"));
    assert!(error_of(|scan| scan.line = 9).contains("LineColumn 9"));
    assert!(error_of(|scan| scan.filters = vec!["| json".to_owned()]).contains("not a line filter"));
    assert!(error_of(|scan| scan.filters = vec![r#"|= "a" | json"#.to_owned()]).contains("2 stages"));
    let overlapping = |scan: &mut wire::Scan| {
        let again = scan.partitions[0].units[0].pieces[0].clone();
        scan.partitions[0].units[0].pieces.push(again);
    };
    assert!(error_of(overlapping).starts_with("the plan cannot be shipped: ChunkScanExec: rows 0..3"));
}

#[test]
fn counts_that_do_not_belong_together_are_refused() {
    let series = wire::CountedSeries { labels: Some(wire::Labels::default()), timestamps: vec![5, 9], rows: vec![2, 1], bytes: vec![7, 0] };
    let read = |series: wire::CountedSeries| read_node(&node(Kind::MinuteCount(wire::MinuteCount { series: vec![series], bytes: true })), &[]);
    assert_eq!(read(series.clone()).unwrap().downcast_ref::<MinuteCountExec>().unwrap().series().len(), 1);
    assert!(read(wire::CountedSeries { labels: None, ..series.clone() }).unwrap_err().contains("is missing"));
    assert!(read(wire::CountedSeries { rows: vec![2, 0], ..series.clone() }).unwrap_err().contains("belong together"));
    assert!(read(wire::CountedSeries { bytes: vec![7], ..series.clone() }).unwrap_err().contains("belong together"));
    assert!(read(wire::CountedSeries::default()).unwrap_err().contains("belong together"));
}

#[test]
fn another_version_is_refused_whatever_follows() {
    let later = wire::Version { version: 2 }.encode_to_vec();
    // Field 2 is a number in this later version.
    let text = read_node(&[later.as_slice(), &[0x10, 0x05]].concat(), &[]).unwrap_err();
    assert!(text.contains("written in plan version 2") && text.contains("this one reads version 1"), "{text}");
    assert!(read_node(&[], &[]).unwrap_err().contains("plan version 0"));
}

#[test]
fn an_unknown_kind_is_refused() {
    let unknown = [wire::Version { version: VERSION }.encode_to_vec().as_slice(), &[0xfa, 0x01, 0x00]].concat();
    assert!(read_node(&unknown, &[]).unwrap_err().contains("does not know"));
}

#[test]
fn operators_have_the_inputs_they_take() {
    let two_partitions = wire::Scan { partitions: vec![wire::Partition::default(); 2], ..scan() };
    let input = read_node(&node(Kind::Scan(two_partitions)), &[]).unwrap();
    let entries = node(Kind::Entries(wire::Entries { limit: 1, direction: 1, interval: 0 }));
    assert!(read_node(&entries, &[]).unwrap_err().contains("EntriesExec: it takes one input and has 0"));
    assert!(read_node(&entries, std::slice::from_ref(&input)).unwrap_err().contains("its input ChunkScanExec has 2"));
    assert!(read_node(&node(Kind::Scan(scan())), std::slice::from_ref(&input)).unwrap_err().contains("takes no input"));
    let operation = wire::SampleOperation { operation: Some(wire::Operation::Binary(wire::Binary { op: 1, return_bool: false, matching: None })) };
    assert!(read_node(&node(Kind::SampleOperation(operation)), std::slice::from_ref(&input)).unwrap_err().contains("takes 2 inputs and has 1"));
    let constant =
        |steps| node(Kind::SampleOperation(wire::SampleOperation { operation: Some(wire::Operation::Constant(wire::Constant { value: 1.0, steps })) }));
    assert!(read_node(&constant(None), &[]).unwrap_err().contains("when it is evaluated is missing"));
    assert!(read_node(&constant(Some(wire::Steps { start: 0, step: 1, count: 1 << 40 })), &[]).unwrap_err().contains("steps"));
    assert!(read_node(&constant(Some(wire::Steps { start: 0, step: 0, count: 1 })), &[]).unwrap_err().contains("at least 1 ns"));
}

#[test]
fn operators_of_others_are_not_written() {
    let other: Arc<dyn ExecutionPlan> = Arc::new(datafusion::physical_plan::empty::EmptyExec::new(Arc::new(arrow::datatypes::Schema::empty())));
    let error = codec().try_encode(other, &mut Vec::new(), &DefaultPhysicalProtoConverter {}).unwrap_err();
    assert_eq!(QueryError::from_datafusion(error).to_string(), "the plan cannot be shipped: EmptyExec: it is no operator of Tarn");
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), tag in 2u8..10) {
        let _ = read_node(&bytes, &[]);
        let length = u8::try_from(bytes.len().min(127)).unwrap();
        let framed = [&[0x08, 0x01, tag << 3 | 2, length], &bytes[..usize::from(length)]].concat();
        let _ = read_node(&framed, &[]);
        let _ = codec().decode_plan(&bytes, &TaskContext::default());
    }
}

/// The rows under a tenant's label must be that tenant's.
#[test]
fn a_tenants_label_stands_over_its_own_chunks_only() {
    let scan = read_node(&node(Kind::Scan(scan())), &[]).unwrap();
    let label = |tenant: &str| node(Kind::TenantLabel(wire::TenantLabel { tenant: tenant.to_owned() }));
    assert!(read_node(&label("fake"), std::slice::from_ref(&scan)).is_ok());
    let error = read_node(&label("other"), std::slice::from_ref(&scan)).unwrap_err();
    assert!(error.contains("rows of tenant fake are those of other"), "{error}");
    assert!(read_node(&label("../fake"), std::slice::from_ref(&scan)).unwrap_err().contains("unsupported character"));
    assert!(read_node(&label("fake"), &[]).unwrap_err().contains("one input"));
}
