// What the page's own labels say in each language. Situation, advice and reasons come from the server.

export const WORDS = {
  en: {
    ship: "ship", reset: "Reset stop", stop: "STOP", targets: "Targets", range: "range NM", bearing: "bearing",
    encounter: "encounter", role: "role", stage: "stage", situation: "Situation", proposal: "Proposal", verdict: "Verdict",
    control: "Control", approve: "Approve", reject: "Reject", heading: "heading °", speed: "speed kn", takeover: "Take over",
    release: "Release", record: "Record", none: "no target in range", no_proposal: "none yet",
    lost: "The page has lost contact with its server. What is shown is old. STOP may not get through: use the ship's own stop.",
    silent: "No picture from the ship", stopped: "Stopped",
    modes: { agent: "AGENT", fallback: "FALLBACK", override: "MANUAL", stopped: "STOPPED", none: "NO GUARD" },
    sent: "sent", acknowledged: "acknowledged", not_acknowledged: "not acknowledged yet: watch the mode above",
    documents: "Documents on this situation (not decided with)", order: "Order in force", remaining: "valid for", refused: "refused",
    terms: { none: "–" },
  },
  ko: {
    ship: "선박", reset: "정지 해제", stop: "정지", targets: "타선", range: "거리 NM", bearing: "방위",
    encounter: "조우", role: "역할", stage: "단계", situation: "상황", proposal: "제안", verdict: "판정",
    control: "조작", approve: "승인", reject: "거부", heading: "침로 °", speed: "속력 kn", takeover: "수동 조종",
    release: "자동 복귀", record: "기록", none: "범위 내 타선 없음", no_proposal: "아직 없음",
    lost: "서버와 연결이 끊겼습니다. 표시된 내용은 과거의 것입니다. 정지 명령이 전달되지 않을 수 있으니 선박의 자체 정지 장치를 사용하십시오.",
    silent: "선박의 상황 정보가 없습니다", stopped: "정지됨",
    modes: { agent: "에이전트", fallback: "대체 제어", override: "수동", stopped: "정지", none: "가드 없음" },
    sent: "보냄", acknowledged: "확인됨", not_acknowledged: "아직 확인되지 않음: 위의 모드를 확인하십시오",
    documents: "이 상황에 관한 문서(결정에는 쓰이지 않음)", order: "현재 명령", remaining: "유효 시간", refused: "거절됨",
    terms: {
      none: "–", head_on: "마주침", crossing_give_way: "횡단(피항)", crossing_stand_on: "횡단(유지)", overtaking: "추월", overtaken: "피추월",
      restricted_visibility: "제한 시계", give_way: "피항선", stand_on: "유지선", both_give_way: "양쪽 피항", r19: "제19조", clear: "통과",
      accept: "승인", clip: "조정", reject: "거부", fallback: "대체", timeout: "시간 초과", override: "수동",
    },
  },
};
