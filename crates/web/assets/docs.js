// Shows /openapi.json: every method with the fields of its request and answer, and a form that calls it.
'use strict';

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

const nameOf = (schema) => (schema.$ref ? schema.$ref.split('/').pop() : null);

// The type of a value, in words.
function typeOf(schema) {
  if (schema.$ref) return nameOf(schema);
  if (schema.type === 'array') return `${typeOf(schema.items)}[]`;
  if (schema.oneOf || schema.anyOf) return (schema.oneOf || schema.anyOf).map(typeOf).join(' or ');
  const type = [].concat(schema.type || 'any').filter((word) => word !== 'null').join(' or ');
  return schema.format || (schema.contentEncoding ? schema.contentEncoding : type);
}

// The fields of a message in a table; those of messages within it can be opened.
function fields(api, schema, open) {
  const name = nameOf(schema);
  const message = name ? api.components.schemas[name] : schema;
  if (!message) return element('p');
  if (message.enum) return element('p', { textContent: message.enum.join(', ') });
  const parts = message.oneOf || message.anyOf;
  if (parts) return element('div', {}, ...parts.map((part) => fields(api, part.items || part, open)));
  const rows = Object.entries(message.properties || {}).map(([field, of]) => {
    const about = element('td', {}, of.description || '');
    const inner = nameOf(of.items || of);
    if (inner && !open.includes(inner)) {
      const details = element('details', {}, element('summary', { textContent: inner }));
      details.addEventListener('toggle', () => {
        if (details.open && details.children.length === 1) details.append(fields(api, of.items || of, [...open, inner]));
      });
      about.append(details);
    }
    return element('tr', {}, element('td', { textContent: field }), element('td', { textContent: typeOf(of) }), about);
  });
  const note = message.description ? [element('p', { textContent: message.description })] : [];
  return element('div', {}, ...note, rows.length ? element('table', {}, element('tbody', {}, ...rows)) : element('p', { textContent: 'No fields.' }));
}

function caller(path) {
  const request = element('textarea', { value: '{}', spellcheck: false, ariaLabel: 'Request in JSON' });
  const answer = element('pre', { hidden: true });
  const send = element('button', { textContent: 'Send' });
  send.addEventListener('click', async () => {
    answer.hidden = false;
    answer.textContent = '…';
    const key = document.getElementById('key').value.trim();
    const headers = { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) };
    try {
      const got = await fetch(path, { method: 'POST', headers, body: request.value });
      const text = await got.text();
      let shown = text;
      try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* No JSON: shown as it is. */ }
      answer.textContent = `${got.status} ${got.headers.get('x-request-id') || ''}\n${shown}`;
    } catch (error) {
      answer.textContent = `The request failed: ${error.message}`;
    }
  });
  return element('details', {}, element('summary', { textContent: 'Call it' }), request, send, answer);
}

function shown(api, path, operation) {
  const title = element('h3', { textContent: `POST ${path}` });
  if (operation['x-requires']) title.append(element('span', { className: 'rule', textContent: operation['x-requires'] }));
  const good = Object.entries(operation.responses).find(([status]) => status.startsWith('2'));
  return element('section', { id: operation.operationId }, title,
    element('p', { textContent: operation.description || operation.summary }),
    element('h4', { textContent: 'Request' }), fields(api, operation.requestBody.content['application/json'].schema, []),
    element('h4', { textContent: 'Answer' }), fields(api, good[1].content['application/json'].schema, []),
    caller(path));
}

async function start() {
  const main = document.getElementById('main');
  const nav = document.getElementById('nav');
  const api = await (await fetch('/openapi.json')).json();
  main.replaceChildren(element('p', { textContent: api.info.description }));
  const groups = new Map();
  const sections = [];
  for (const [path, { post }] of Object.entries(api.paths)) {
    const section = shown(api, path, post);
    const link = element('a', { href: `#${post.operationId}`, textContent: path.split('/').pop() });
    const tag = post.tags[0];
    if (!groups.has(tag)) groups.set(tag, element('div', {}, element('h2', { textContent: tag })));
    groups.get(tag).append(link);
    sections.push({ section, link, text: `${path} ${section.textContent}`.toLowerCase() });
    main.append(section);
  }
  nav.append(...groups.values());
  document.getElementById('find').addEventListener('input', (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const { section, link, text } of sections) section.hidden = link.hidden = !text.includes(wanted);
  });
}

start().catch((error) => {
  document.getElementById('main').textContent = `openapi.json cannot be shown: ${error.message}`;
});
