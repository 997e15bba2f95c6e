/**
 * The style sheet of the HTML report. Colours are custom properties with a light and a dark value; the
 * contestants' are told apart by people who see few colours (and by markers and dashes as well), and
 * each stands off its ground by 3 to 1 at least.
 */

import { slotCount } from "./looks.ts";

const light = `
--paper:#f7f8f9;--sheet:#fff;--ink:#17242c;--soft:#566871;--line:#d7dfe3;--grid:#e7ecef;
--accent:#0b5fa5;--grave:#a3321f;--grave-sheet:#fbe9e5;--mild-sheet:#eef1f3;--best:#0a6b4f;
--c0:#0b64b0;--c1:#17242c;--c2:#6f7d85;--c3:#c14f00;--c4:#00805f;--c5:#b0488a;--c6:#8a6a00;--c7:#6a4fb3;`;

const dark = `
--paper:#10161b;--sheet:#171f26;--ink:#e4ecf0;--soft:#9aacb6;--line:#303d47;--grid:#25303a;
--accent:#7cbcf0;--grave:#ff9d85;--grave-sheet:#3a1d16;--mild-sheet:#222d36;--best:#5fd0a8;
--c0:#5ab4f5;--c1:#e4ecf0;--c2:#8d9ca6;--c3:#ff8f4d;--c4:#2fc79b;--c5:#e88fc4;--c6:#e0bd3a;--c7:#a995f0;`;

/** In the order of the slots: solid for Moorage, and no two alike. */
const dashes = ["none", "7 3", "2 3", "9 3 2 3", "5 2", "3 2", "12 3", "1 3"];

const slotRules = Array.from(
  { length: slotCount },
  (_, slot) =>
    `.s${slot}{--c:var(--c${slot})}.l.s${slot}{stroke-dasharray:${dashes[slot] ?? "none"}}`,
).join("\n");

export const styleSheet = `
:root{color-scheme:light dark;${light}}
@media (prefers-color-scheme:dark){:root{${dark}}}
*,*::before,*::after{box-sizing:border-box}
body{margin:0 auto;max-width:100rem;padding:0 clamp(.75rem,2.5vw,2rem) 3rem;background:var(--paper);color:var(--ink);
font:400 .9375rem/1.5 system-ui,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans",sans-serif;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
h1,h2,h3,p,dl,dd,ol,ul,figure{margin:0;padding:0}
h1{font-size:1.5rem;line-height:1.2;letter-spacing:-.02em}
h2{font-size:1.2rem;line-height:1.3;letter-spacing:-.01em}
h3{font-size:.9375rem;margin-top:1.5rem}
header{padding:1.5rem 0 .25rem}
section{padding-top:2rem}
section>*+*{margin-top:.6rem}
section>h3{margin-top:1.75rem}
.soft,.note{color:var(--soft)}
.note{font-size:.8125rem;line-height:1.4}
a{color:var(--accent)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}

.losses{list-style:none;columns:30rem;column-gap:2.5rem}
.losses li{display:grid;grid-template-columns:4.25rem 1fr;gap:.6rem;align-items:start;padding:.3rem 0;break-inside:avoid;line-height:1.4}
.losses li>*{min-width:0}
.badge{padding:.05rem .35rem;border-radius:4px;background:var(--mild-sheet);font-size:.8125rem;font-weight:600;text-align:center;white-space:nowrap}
.badge.grave{background:var(--grave-sheet);color:var(--grave)}

.tiles,.facts{display:grid;gap:.5rem 1.5rem}
.tiles{grid-template-columns:repeat(auto-fit,minmax(min(100%,13rem),1fr))}
.tiles div{padding:.6rem .8rem;border:1px solid var(--line);border-radius:8px;background:var(--sheet)}
.tiles b{font-size:1.25rem;letter-spacing:-.01em}
.facts{grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));margin-top:1rem}
dt{color:var(--soft);font-size:.8125rem}
dd{min-width:0;overflow-wrap:anywhere}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.25rem;list-style:none;font-size:.8125rem}
section>.legend{margin-top:1rem}
.legend li{min-width:0}
.legend svg{vertical-align:-1px;overflow:visible}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1rem;margin-top:1.5rem;padding:.6rem 0;border-top:1px solid var(--line)}
section[id]{margin-top:2rem;padding-top:1.25rem;border-top:1px solid var(--line)}
nav+section[id]{margin-top:0}

.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),1fr));gap:1rem;align-items:start}
figure{min-width:0;padding:.7rem .6rem .5rem;border:1px solid var(--line);border-radius:8px;background:var(--sheet)}
figcaption{padding:0 .2rem .35rem;line-height:1.35}
figure .note{padding:.15rem .2rem 0}
.plot{display:block;width:100%;max-width:30rem;height:auto;margin:0 auto}
.plot text{font-size:12px;fill:var(--ink)}
.plot .tick,.plot .unit{fill:var(--soft)}
.plot .name,.plot .end{fill:var(--c,var(--ink))}
.plot .s0.end,.plot .s0.name{font-weight:700}
.plot .limit.end{fill:var(--soft);font-style:italic}
.grid{stroke:var(--grid)}
.axis{stroke:var(--soft);stroke-width:1}
.one{stroke:var(--ink);stroke-width:1.25}
path.limit{stroke:var(--soft);stroke-width:1.25;stroke-dasharray:1 2.5}
.l{fill:none;stroke:var(--c);stroke-width:1.6;stroke-linejoin:round}
.l.s0{stroke-width:2.4}
.l.stepped{stroke-width:1.25}
.m{fill:var(--c);stroke:var(--sheet);stroke-width:1}
.m.s2,.m.s6{fill:none;stroke:var(--c);stroke-width:2}
path.lead{fill:none;stroke:var(--c,var(--soft));stroke-width:.75;stroke-dasharray:none;opacity:.55}
.bar{stroke:var(--c);stroke-width:1.25}
.bar.solid{fill:var(--c)}
.bar.pale{fill:var(--c);fill-opacity:.4}
.bar.hollow{fill:none}
${slotRules}

.scroll{width:fit-content;max-width:100%;overflow-x:auto;border:1px solid var(--line);border-radius:8px;background:var(--sheet)}
table{border-collapse:separate;border-spacing:0;font-size:.8125rem;line-height:1.35}
th,td{padding:.28rem .65rem;text-align:right;white-space:nowrap;vertical-align:top}
thead th{color:var(--soft);font-weight:500;border-bottom:1px solid var(--line)}
th:first-child{position:sticky;left:0;background:var(--sheet);text-align:left;font-weight:500}
.overview tbody th:first-child{min-width:7.5rem;max-width:11rem;white-space:normal;overflow-wrap:anywhere}
.overview th b,.overview th span,.overview td span{display:block}
.overview th span,.overview td span{color:var(--soft);font-weight:400}
.overview tbody tr:first-child>*{border-top:1px solid var(--line)}
.overview tbody:first-of-type tr:first-child>*{border-top:0}
.own{font-weight:650}
td.own span{font-weight:400}
.mark{display:inline-block;width:.6em;height:.6em;margin-right:.35em}
.mark.best{background:var(--best);border-radius:50%}
.mark.loses{background:var(--grave);clip-path:polygon(0 0,100% 0,50% 100%)}
td.fails,td.failure{color:var(--soft)}
td.fails.own,.own td.failure{color:var(--grave)}
td.failure{text-align:left;white-space:normal;font-weight:400}
td.failure q{display:inline-block;max-width:min(44rem,60vw)}
td.text{text-align:left;color:var(--soft)}
.size th{padding-top:.6rem;font-weight:650;border-top:1px solid var(--line)}
tbody:first-of-type .size th{border-top:0}
.cases{display:grid;gap:.25rem}
.cases details{min-width:0}
summary{width:fit-content;padding:.15rem .25rem;cursor:pointer}
details .scroll{margin:.3rem 0 .8rem}
`;
