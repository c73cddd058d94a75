// Reads a JSON array of PromQL expressions, prints for each {error} or {selectors: [[metric, [label...]]...]}, with the grammar of Prometheus' own editor.
import { readFileSync } from "node:fs";
import { parser } from "@prometheus-io/lezer-promql";

function read(text) {
  const selectors = [];
  let error = null;
  parser.parse(text).iterate({
    enter(node) {
      if (node.type.isError) error ??= `at ${node.from}: ${text.slice(node.from, node.from + 30)}`;
      if (node.name !== "VectorSelector") return;
      const labels = [];
      let metric = null;
      node.node.cursor().iterate((inner) => {
        const piece = text.slice(inner.from, inner.to);
        if (inner.name === "Identifier") metric ??= piece;
        if (inner.name === "LabelName") labels.push(piece);
      });
      selectors.push([metric, labels]);
    },
  });
  return error ? { error } : { selectors };
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(read)));
