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
