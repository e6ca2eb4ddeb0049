/**
 * The schema as a page for readers, docs/config.md: a heading a section, a line a key. `tandem config schema` prints the same for a terminal (render.ts). The trap: a default that `conf/` overrides is
 * still the schema's here, and the page says so at its top.
 */
import { isLeaf, type Leaf, type Section, sectionDoc } from "./leaf.js";
import { typeText } from "./render.js";

const HEAD = `# Configuration

Every key, from the schema that checks it; \`npx tsx tools/generate-reference.ts\` writes this page. A command line sets a key with \`key=value\`, a file with YAML. Files of \`conf/\` set some keys over the defaults
named here: \`tandem config show --sources\` says what a run has, and who set it.
`;

/** The page as Markdown. */
export function renderReference(section: Section): string {
  return [HEAD, ...sectionBlocks(section, "")].join("\n");
}

function sectionBlocks(section: Section, prefix: string): string[] {
  const entries = Object.entries(section);
  const own = entries.flatMap(([name, node]) => (isLeaf(node) ? [keyBlock(prefix + name, node)] : []));
  const below = entries.flatMap(([name, node]) => (isLeaf(node) ? [] : sectionBlocks(node, `${prefix}${name}.`)));
  if (prefix === "") return [...own, "", ...below];
  const depth = "#".repeat(Math.min(4, prefix.split(".").length));
  const title = `${depth} ${prefix.slice(0, -1)}\n\n${section[sectionDoc] ?? ""}\n`;
  return [title, ...own, "", ...below];
}

function keyBlock(key: string, leaf: Leaf<unknown>): string {
  const fields = Object.entries(leaf.fields ?? {}).flatMap(([name, field]) => (isLeaf(field) ? [fieldLine(name, field)] : []));
  return [`- **\`${key}\`**: ${shape(leaf)}. ${escaped(leaf.doc)}`, ...fields].join("\n");
}

function fieldLine(name: string, field: Leaf<unknown>): string {
  return `  - \`${name}\`: ${shape(field)}. ${escaped(field.doc)}`;
}

function shape(leaf: Leaf<unknown>): string {
  return `${escaped(typeText(leaf))}, default ${inCode(JSON.stringify(leaf.default))}`;
}

/** As code, whatever stands in it. */
function inCode(text: string): string {
  return text.includes("`") ? `\`\` ${text} \`\`` : `\`${text}\``;
}

/** What Markdown or HTML would take for its own. */
function escaped(text: string): string {
  return text.replaceAll(/[\\`*_{}[\]<>|#]/g, String.raw`\$&`);
}
