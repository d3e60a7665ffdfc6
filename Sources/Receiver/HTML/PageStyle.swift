/// The style of the pages, and the script that updates them. Both are constants, so that their digests can be sent.
enum PageStyle {
    static let style: HTML = """
        :root {
          color-scheme: light dark;
          --back: #f6f8fa; --card: #ffffff; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --curve: #0969da;
          --good: #1a7f37; --idle: #59636e; --attention: #9a6700; --failing: #cf222e; --warm: #fff8e5;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --back: #0d1117; --card: #151b23; --ink: #e6edf3; --soft: #9da7b3; --line: #3d444d; --curve: #58a6ff;
            --good: #3fb950; --idle: #9da7b3; --attention: #d29922; --failing: #ff7b72; --warm: #272115;
          }
        }
        * { box-sizing: border-box; }
        body {
          margin: 0 auto; padding: 1rem clamp(.75rem, 3vw, 2rem) 3rem; max-width: 76rem;
          font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
          background: var(--back); color: var(--ink); font-variant-numeric: tabular-nums;
        }
        h1 { font-size: 1.35rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; overflow: hidden; }
        h2 { font-size: 1.05rem; margin: 0; }
        a { color: var(--curve); text-underline-offset: .15em; }
        header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .1rem 1rem; margin-bottom: .75rem; }
        header .made { margin-left: auto; }
        .up { margin: 0; flex-basis: 100%; }
        .made, .remark, .unit, .summary, .empty { color: var(--soft); font-size: .875rem; }
        .made, .empty, .summary { margin: 0; }
        #stale { background: var(--failing); color: var(--card); padding: .5rem 1rem; margin: 0 0 1rem; border-radius: .5rem; font-weight: 600; }
        section, .verdicts, #plots > figure { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .875rem 1rem; margin: 0 0 1rem; min-width: 0; }
        .columns { display: grid; gap: 0 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); align-items: start; }
        .columns > :first-child { grid-column: span 2; }
        .halves { grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
        .halves > :first-child { grid-column: auto; }
        .halves .minor { display: none; }
        .verdicts { list-style: none; display: grid; gap: .625rem; }
        .verdicts li { display: flex; gap: .75rem; align-items: flex-start; }
        .verdicts li > div { min-width: 0; flex: 1; display: grid; grid-template-columns: 3.6rem 1fr; align-items: baseline; overflow-wrap: anywhere; overflow: hidden; }
        .verdicts strong { font-size: 1.1rem; font-weight: 600; }
        .verdicts .remark { grid-column: 2; }
        .mark { width: 1.6rem; height: 1.6rem; flex: none; fill: currentColor; }
        .mark path { fill: none; stroke: var(--card); stroke-width: 2.6; stroke-linecap: round; stroke-linejoin: round; }
        .mark .form { fill: currentColor; stroke: none; }
        .good .mark, .good .word { color: var(--good); }
        .idle .mark, .idle .word { color: var(--idle); }
        .attention .mark, .attention .word { color: var(--attention); }
        .failing .mark, .failing .word { color: var(--failing); }
        .facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 1px; margin: 0 0 1rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; overflow: hidden; }
        .facts > div { box-shadow: 0 0 0 1px var(--line); padding: .6rem 1rem; }
        .facts dt { color: var(--soft); font-size: .875rem; }
        .facts dd { margin: 0; font-size: 1.2rem; font-weight: 600; }
        .facts .remark { display: block; font-size: .8125rem; font-weight: 400; }
        .plot { margin: 0; display: grid; grid-template: auto 13rem 1.6rem auto / 3rem 1fr; gap: 0 .5rem; }
        .plot figcaption, .plot .summary { grid-column: 1 / -1; }
        .plot figcaption { margin-bottom: .8rem; }
        .plot svg { width: 100%; height: 100%; overflow: visible; display: block; }
        .plot .times { grid-column: 2; }
        .plot text { fill: var(--soft); font-size: .75rem; dominant-baseline: middle; text-anchor: end; }
        .plot .times text { text-anchor: middle; }
        .plot path { vector-effect: non-scaling-stroke; fill: none; }
        .grid { stroke: var(--line); stroke-width: 1; }
        .zero { stroke: var(--soft); stroke-width: 1; }
        .line { stroke: var(--curve); stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; }
        .plot .columns { fill: var(--curve); fill-opacity: .3; stroke: var(--curve); stroke-width: 1; }
        .plot.flat { grid-template-rows: auto 3rem 1.6rem auto; }
        .marks { stroke: var(--curve); stroke-width: 1; }
        .head { display: flex; flex-wrap: wrap; gap: .5rem 1rem; justify-content: space-between; align-items: center; margin-bottom: .5rem; }
        form { display: flex; gap: .5rem; min-width: 0; }
        input, button { font: inherit; font-size: 1rem; color: inherit; background: var(--back); border: 1px solid var(--line); border-radius: .375rem; padding: .3rem .6rem; min-width: 0; }
        button { cursor: pointer; background: var(--card); }
        :focus-visible { outline: 2px solid var(--curve); outline-offset: 2px; }
        .scroll { overflow-x: auto; margin-top: .5rem; }
        table { border-collapse: collapse; width: 100%; font-size: .9375rem; }
        th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-top: 1px solid var(--line); vertical-align: top; }
        thead th { border-top: 0; color: var(--soft); font-weight: 400; font-size: .8125rem; }
        .figures td, .figures th { white-space: nowrap; }
        .figures td:not(:first-child), .figures th:not(:first-child) { text-align: right; }
        .figures td:last-child, .figures th:last-child { padding-right: 0; }
        .wrong { color: var(--failing); font-weight: 600; }
        .list { table-layout: fixed; }
        .list th:nth-child(2) { width: 13.5rem; }
        .list th:nth-child(3) { width: 45%; }
        .list tbody th { font-weight: 500; overflow-wrap: anywhere; overflow: hidden; }
        .silent > * { background: var(--warm); }
        .silent > th { box-shadow: inset 4px 0 var(--attention); padding-left: .75rem; }
        .badge { color: var(--attention); border: 1px solid; border-radius: 1rem; padding: 0 .5rem; font-size: .8125rem; font-weight: 600; }
        .channels { list-style: none; margin: 0; padding: 0; display: grid; gap: .2rem; }
        .channels li { display: grid; grid-template-columns: 2.6rem 6rem 1fr; gap: .5rem; align-items: center; }
        .channel { color: var(--soft); }
        .channel::before { content: "ch "; font-size: .75rem; }
        .power { text-align: right; }
        .all { grid-column: span 2; }
        .spark { width: 100%; height: 1.4rem; overflow: visible; padding: 2px 0; }
        .spark path { vector-effect: non-scaling-stroke; fill: none; stroke-width: 1.5; }
        nav { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; margin-top: .75rem; }
        nav.days { margin: 0 0 1rem; }
        @media (max-width: 44rem) {
          .columns > :first-child { grid-column: auto; }
          header .made { margin-left: 0; flex-basis: 100%; }
          .verdicts li > div { display: block; }
          .verdicts b, .verdicts strong, .verdicts .remark { display: block; }
          .verdicts .word { font-size: .8125rem; line-height: 1.2; }
          .plot { grid-template: auto 10rem 1.6rem auto / 2.25rem 1fr; }
          .minor { display: none; }
          .list, .list tbody, .list tr, .list th, .list td { display: block; width: auto; }
          .list thead { display: none; }
          .list tr { border-top: 1px solid var(--line); padding: .5rem 0; }
          .list td, .list tbody th { border: 0; padding: .1rem 0; }
          .list tr.silent { padding-left: .75rem; background: var(--warm); box-shadow: inset 4px 0 var(--attention); }
          .silent > th { box-shadow: none; padding-left: 0; }
          .figures { font-size: .8125rem; }
          .figures td, .figures th { padding-right: .4rem; }
          .head form { flex: 1; }
          .head input { flex: 1; }
        }

        """

    /// Replaces the live parts of the page by those of a new one, every ten seconds while the page is visible.
    ///
    /// A part is left alone while it has the keyboard focus or contains selected text.
    static let script: HTML = """
        (() => {
          const stale = document.getElementById('stale');
          let timer, isAsking = false;
          const isUsed = part => {
            const chosen = getSelection();
            return part.contains(document.activeElement) || (!chosen.isCollapsed && part.contains(chosen.anchorNode));
          };
          const refresh = async () => {
            clearTimeout(timer);
            if (document.hidden || isAsking) return;
            isAsking = true;
            try {
              const answer = await fetch(location.href, { cache: 'no-store', signal: AbortSignal.timeout(8000) });
              if (!answer.ok) throw answer.status;
              const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
              for (const part of document.querySelectorAll('[data-live]')) {
                const fresh = page.getElementById(part.id);
                if (fresh && !isUsed(part)) part.replaceWith(fresh);
              }
              document.title = page.title;
              stale.hidden = true;
            } catch {
              stale.hidden = false;
            }
            isAsking = false;
            timer = setTimeout(refresh, 10000);
          };
          document.addEventListener('visibilitychange', refresh);
          timer = setTimeout(refresh, 10000);
        })();

        """
}
